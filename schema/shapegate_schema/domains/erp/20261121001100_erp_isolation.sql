-- Confine each table of the erp domain to its org, and hand all of them to Electric.

-- migrate:up
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'vendors', 'products', 'purchase_orders', 'sales_orders', 'inventory', 'employees',
        'purchase_order_items', 'sales_order_items'
    ] LOOP
        CALL public.confine_table(name, 'tenant_id = public.current_org_id()');
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON public.%I TO app_rw', name);
        EXECUTE format('CREATE TRIGGER keep_tenant BEFORE INSERT OR UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_tenant()', name);
    END LOOP;
END
$$;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
