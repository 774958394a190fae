-- The erp domain: what an org buys, keeps, sells, and who works there.
--
-- The column that says whose a row is has another name here, tenant_id; a tenant is an org. Numbers, codes and
-- addresses are unique within the org: unique over all orgs, they would tell of rows that nobody may see. Every
-- reference between rows of an org takes tenant_id along, and every index begins with it.

-- migrate:up

-- As keep_organization does on tables with organization_id: BEFORE INSERT OR UPDATE on each table of this domain.
CREATE FUNCTION public.keep_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.tenant_id IS NULL THEN
            NEW.tenant_id := public.current_org_id();
        END IF;
    ELSIF NEW.tenant_id IS DISTINCT FROM OLD.tenant_id THEN
        RAISE EXCEPTION 'a row of % stays in its organization', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', HINT = 'Insert a new row in the other organization instead.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION public.keep_tenant() FROM PUBLIC;

CREATE TABLE public.vendors (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    name varchar(255) NOT NULL,
    vendor_code varchar(255),
    description text,
    email varchar(255),
    phone varchar(20),
    website varchar(255),
    address text,
    city varchar(100),
    state varchar(100),
    postal_code varchar(10),
    country varchar(100),
    tax_id varchar(50),
    bank_details jsonb,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended')),
    rating int DEFAULT 0 CHECK (rating BETWEEN 0 AND 5),
    total_orders int DEFAULT 0,
    total_spent numeric(12, 2) DEFAULT 0,
    created_by varchar(255),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX vendors_email_key ON public.vendors (tenant_id, lower(email));
COMMENT ON COLUMN public.vendors.bank_details IS '{accountName, accountNumber, bankName, ifsc, upiId}; never synced.';

CREATE TABLE public.products (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    sku varchar(100) NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    category varchar(100),
    sub_category varchar(100),
    unit varchar(50),
    unit_price numeric(12, 2) NOT NULL,
    selling_price numeric(12, 2),
    tax_rate numeric(5, 2) DEFAULT 0,
    hsn_code varchar(50),
    barcode varchar(255),
    manufacturer varchar(255),
    brand varchar(100),
    warranty_months int,
    expiry_date date,
    reorder_level int DEFAULT 0,
    reorder_quantity int DEFAULT 0,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'discontinued', 'draft')),
    attributes jsonb,
    image_url varchar(255),
    created_by varchar(255),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, sku)
);
CREATE INDEX products_category_index ON public.products (tenant_id, category);

-- line_items is the order as it was written; the item tables below say what came of each line.
CREATE TABLE public.purchase_orders (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    po_number varchar(50) NOT NULL,
    vendor_id uuid NOT NULL,
    status varchar(50) DEFAULT 'draft'
        CHECK (status IN ('draft', 'sent', 'confirmed', 'partial', 'delivered', 'cancelled')),
    po_date date NOT NULL,
    expected_delivery_date date,
    actual_delivery_date date,
    delivery_address text,
    delivery_city varchar(100),
    delivery_pincode varchar(50),
    subtotal numeric(12, 2) DEFAULT 0,
    tax_amount numeric(12, 2) DEFAULT 0,
    shipping_cost numeric(12, 2) DEFAULT 0,
    discount numeric(12, 2) DEFAULT 0,
    total_amount numeric(12, 2) DEFAULT 0,
    payment_terms varchar(50),
    payment_status varchar(50) DEFAULT 'pending' CHECK (payment_status IN ('pending', 'partial', 'paid', 'overdue')),
    special_instructions text,
    reference_number varchar(255),
    line_items jsonb,
    created_by varchar(255),
    approved_by varchar(255),
    approved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, po_number),
    CONSTRAINT purchase_orders_vendor_id_fkey FOREIGN KEY (tenant_id, vendor_id)
        REFERENCES public.vendors (tenant_id, id)
);
CREATE INDEX purchase_orders_vendor_id_index ON public.purchase_orders (tenant_id, vendor_id);
CREATE INDEX purchase_orders_status_index ON public.purchase_orders (tenant_id, status);

-- There is no table of customers: customer_id is a number of the shop or the CRM that the order came from, and
-- points at no row here. So nothing checks it, and nothing can be asked by it either.
CREATE TABLE public.sales_orders (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    so_number varchar(50) NOT NULL,
    customer_id uuid NOT NULL,
    status varchar(50) DEFAULT 'draft'
        CHECK (status IN ('draft', 'confirmed', 'packed', 'shipped', 'delivered', 'cancelled')),
    so_date date NOT NULL,
    expected_delivery_date date,
    actual_delivery_date date,
    delivery_address text,
    delivery_city varchar(100),
    delivery_pincode varchar(50),
    shipment_mode varchar(50),
    tracking_number varchar(100),
    subtotal numeric(12, 2) DEFAULT 0,
    tax_amount numeric(12, 2) DEFAULT 0,
    shipping_cost numeric(12, 2) DEFAULT 0,
    discount numeric(12, 2) DEFAULT 0,
    total_amount numeric(12, 2) DEFAULT 0,
    payment_terms varchar(50),
    payment_status varchar(50) DEFAULT 'pending' CHECK (payment_status IN ('pending', 'partial', 'paid')),
    special_instructions text,
    po_reference varchar(255),
    line_items jsonb,
    created_by varchar(255),
    confirmed_by varchar(255),
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, so_number)
);
CREATE INDEX sales_orders_customer_id_index ON public.sales_orders (tenant_id, customer_id);
CREATE INDEX sales_orders_status_index ON public.sales_orders (tenant_id, status);

CREATE TABLE public.inventory (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    product_id uuid NOT NULL,
    warehouse_location varchar(100) NOT NULL,
    quantity_on_hand int DEFAULT 0,
    quantity_reserved int DEFAULT 0,
    quantity_in_transit int DEFAULT 0,
    quantity_damaged int DEFAULT 0,
    avg_cost_per_unit numeric(12, 2) DEFAULT 0,
    valuation numeric(12, 2) DEFAULT 0,
    reorder_level int DEFAULT 0,
    last_stock_count_date date,
    last_received_date date,
    last_issued_date date,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'discontinued')),
    notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, product_id, warehouse_location),
    CONSTRAINT inventory_product_id_fkey FOREIGN KEY (tenant_id, product_id)
        REFERENCES public.products (tenant_id, id)
);
CREATE INDEX inventory_warehouse_location_index ON public.inventory (tenant_id, warehouse_location);

CREATE TABLE public.employees (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    auth_user_id uuid NOT NULL,
    employee_code varchar(50) NOT NULL,
    first_name varchar(100) NOT NULL,
    last_name varchar(100),
    email varchar(255) NOT NULL,
    phone varchar(20),
    department varchar(100),
    designation varchar(100),
    manager_id uuid,
    avatar_url text,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'on_leave', 'terminated')),
    role varchar(50) DEFAULT 'employee',
    roles text[],
    permissions text[],
    date_of_joining date,
    date_of_birth date,
    address text,
    mobile_primary varchar(50),
    mobile_secondary varchar(50),
    aadhar_number varchar(50),
    pan_number varchar(50),
    metadata jsonb,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CONSTRAINT employees_auth_user_id_fkey FOREIGN KEY (tenant_id, auth_user_id)
        REFERENCES public.memberships (organization_id, user_id),
    CONSTRAINT employees_manager_id_fkey FOREIGN KEY (tenant_id, manager_id)
        REFERENCES public.employees (tenant_id, id)
);
CREATE UNIQUE INDEX employees_email_key ON public.employees (tenant_id, lower(email));
CREATE INDEX employees_auth_user_id_index ON public.employees (tenant_id, auth_user_id);
CREATE INDEX employees_manager_id_index ON public.employees (tenant_id, manager_id);

CREATE TABLE public.purchase_order_items (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    purchase_order_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity int NOT NULL,
    unit_price numeric(12, 2) NOT NULL,
    tax_rate numeric(5, 2) DEFAULT 0,
    line_total numeric(15, 2) NOT NULL,
    received_qty int DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CONSTRAINT purchase_order_items_purchase_order_id_fkey FOREIGN KEY (tenant_id, purchase_order_id)
        REFERENCES public.purchase_orders (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT purchase_order_items_product_id_fkey FOREIGN KEY (tenant_id, product_id)
        REFERENCES public.products (tenant_id, id) ON DELETE RESTRICT
);
CREATE INDEX purchase_order_items_purchase_order_id_index
    ON public.purchase_order_items (tenant_id, purchase_order_id);
CREATE INDEX purchase_order_items_product_id_index ON public.purchase_order_items (tenant_id, product_id);

CREATE TABLE public.sales_order_items (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.organizations (id),
    sales_order_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity int NOT NULL,
    unit_price numeric(12, 2) NOT NULL,
    tax_rate numeric(5, 2) DEFAULT 0,
    line_total numeric(15, 2) NOT NULL,
    shipped_qty int DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CONSTRAINT sales_order_items_sales_order_id_fkey FOREIGN KEY (tenant_id, sales_order_id)
        REFERENCES public.sales_orders (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT sales_order_items_product_id_fkey FOREIGN KEY (tenant_id, product_id)
        REFERENCES public.products (tenant_id, id) ON DELETE RESTRICT
);
CREATE INDEX sales_order_items_sales_order_id_index ON public.sales_order_items (tenant_id, sales_order_id);
CREATE INDEX sales_order_items_product_id_index ON public.sales_order_items (tenant_id, product_id);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
