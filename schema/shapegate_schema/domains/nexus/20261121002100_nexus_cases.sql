-- The nexus domain, second part: what two orgs have with each other, and what their people are told.
--
-- A row of two parties takes both along in every reference: to the relationship, to a case, to an invoice. So a
-- payment cannot be hung on a case between others, and a party that no relationship leads to is refused like one
-- that does not exist.

-- migrate:up
CREATE TABLE public.nexus_cases (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    case_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('CASE') CHECK (case_id LIKE 'CASE-%'),
    client_id text NOT NULL,
    vendor_id text NOT NULL,
    relationship_id uuid,
    subject text NOT NULL,
    description text,
    case_type text NOT NULL DEFAULT 'general' CHECK (case_type IN (
        'general', 'dispute', 'payment', 'delivery', 'quality', 'contract', 'compliance', 'other'
    )),
    status text NOT NULL DEFAULT 'open' CHECK (status IN (
        'draft', 'open', 'in_progress', 'pending_client', 'pending_vendor', 'escalated', 'resolved', 'closed', 'cancelled'
    )),
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    assigned_to text REFERENCES public.nexus_users (user_id),
    assigned_at timestamptz,
    sla_due_at timestamptz,
    sla_breached bool NOT NULL DEFAULT false,
    sla_breach_at timestamptz,
    resolution text,
    resolved_at timestamptz,
    resolved_by text REFERENCES public.nexus_users (user_id),
    invoice_ref text,
    payment_ref text,
    amount_disputed numeric(15, 2),
    currency text NOT NULL DEFAULT 'USD',
    tags text[] NOT NULL DEFAULT '{}',
    category text,
    metadata jsonb NOT NULL DEFAULT '{}',
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (case_id, client_id, vendor_id),
    CONSTRAINT nexus_cases_parties_fkey FOREIGN KEY (client_id, vendor_id)
        REFERENCES public.nexus_tenant_relationships (client_id, vendor_id),
    CONSTRAINT nexus_cases_relationship_id_fkey FOREIGN KEY (relationship_id, client_id, vendor_id)
        REFERENCES public.nexus_tenant_relationships (id, client_id, vendor_id)
);
CREATE INDEX nexus_cases_client_id_index ON public.nexus_cases (client_id, vendor_id);
CREATE INDEX nexus_cases_vendor_id_index ON public.nexus_cases (vendor_id);
CREATE INDEX nexus_cases_client_status_index ON public.nexus_cases (client_id, status);
CREATE INDEX nexus_cases_vendor_status_index ON public.nexus_cases (vendor_id, status);
CREATE INDEX nexus_cases_client_created_at_index ON public.nexus_cases (client_id, created_at DESC);
CREATE INDEX nexus_cases_vendor_created_at_index ON public.nexus_cases (vendor_id, created_at DESC);
CREATE INDEX nexus_cases_assigned_to_index ON public.nexus_cases (assigned_to);
CREATE INDEX nexus_cases_sla_due_at_index ON public.nexus_cases (sla_due_at) WHERE NOT sla_breached;

-- A message belongs to whom its case belongs to; it names no party itself.
CREATE TABLE public.nexus_case_messages (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    message_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('MSG') CHECK (message_id LIKE 'MSG-%'),
    case_id text NOT NULL REFERENCES public.nexus_cases (case_id),
    sender_user_id text NOT NULL,
    sender_tenant_id text NOT NULL,
    sender_context text NOT NULL CHECK (sender_context IN ('client', 'vendor')),
    sender_context_id text NOT NULL,
    body text NOT NULL,
    body_html text,
    message_type text NOT NULL DEFAULT 'message' CHECK (message_type IN (
        'message', 'note', 'system', 'status_change', 'escalation', 'resolution'
    )),
    attachments text[],
    is_read bool NOT NULL DEFAULT false,
    read_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT nexus_case_messages_sender_fkey FOREIGN KEY (sender_tenant_id, sender_user_id)
        REFERENCES public.nexus_users (tenant_id, user_id)
);
CREATE INDEX nexus_case_messages_case_id_index ON public.nexus_case_messages (case_id, created_at);
CREATE INDEX nexus_case_messages_unread_index ON public.nexus_case_messages (case_id) WHERE NOT is_read;
CREATE INDEX nexus_case_messages_sender_index ON public.nexus_case_messages (sender_tenant_id, sender_user_id);

-- amount_outstanding is computed, and a computed column cannot be synced before PostgreSQL 18: it is not in the
-- policy, and a client subtracts for itself.
CREATE TABLE public.nexus_invoices (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    invoice_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('INV') CHECK (invoice_id LIKE 'INV-%'),
    vendor_id text NOT NULL,
    client_id text NOT NULL,
    relationship_id uuid,
    invoice_number text,
    invoice_date date NOT NULL,
    due_date date NOT NULL,
    subtotal numeric(15, 2) NOT NULL,
    tax_amount numeric(15, 2) NOT NULL DEFAULT 0,
    discount_amount numeric(15, 2) NOT NULL DEFAULT 0,
    total_amount numeric(15, 2) NOT NULL,
    currency text NOT NULL DEFAULT 'USD',
    amount_paid numeric(15, 2) NOT NULL DEFAULT 0,
    amount_outstanding numeric(15, 2) GENERATED ALWAYS AS (total_amount - amount_paid) STORED,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN (
        'draft', 'sent', 'viewed', 'partial', 'paid', 'overdue', 'disputed', 'cancelled', 'written_off'
    )),
    purchase_order text,
    contract_ref text,
    case_id text,
    description text,
    notes text,
    line_items jsonb NOT NULL DEFAULT '[]',
    payment_terms text,
    sent_at timestamptz,
    paid_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (invoice_id, client_id, vendor_id),
    CONSTRAINT nexus_invoices_parties_fkey FOREIGN KEY (client_id, vendor_id)
        REFERENCES public.nexus_tenant_relationships (client_id, vendor_id),
    CONSTRAINT nexus_invoices_relationship_id_fkey FOREIGN KEY (relationship_id, client_id, vendor_id)
        REFERENCES public.nexus_tenant_relationships (id, client_id, vendor_id),
    CONSTRAINT nexus_invoices_case_id_fkey FOREIGN KEY (case_id, client_id, vendor_id)
        REFERENCES public.nexus_cases (case_id, client_id, vendor_id)
);
CREATE INDEX nexus_invoices_client_id_index ON public.nexus_invoices (client_id, vendor_id);
CREATE INDEX nexus_invoices_client_status_index ON public.nexus_invoices (client_id, status, due_date);
CREATE INDEX nexus_invoices_vendor_status_index ON public.nexus_invoices (vendor_id, status, due_date);
CREATE INDEX nexus_invoices_case_id_index ON public.nexus_invoices (case_id);

-- The payer is a client (TC-), the payee a vendor (TV-).
CREATE TABLE public.nexus_payments (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    payment_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('PAY') CHECK (payment_id LIKE 'PAY-%'),
    from_id text NOT NULL,
    to_id text NOT NULL,
    relationship_id uuid,
    invoice_id text,
    amount numeric(15, 2) NOT NULL,
    currency text NOT NULL DEFAULT 'USD',
    status text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'approved', 'processing', 'completed', 'failed', 'cancelled', 'refunded', 'disputed'
    )),
    payment_method text CHECK (payment_method IN (
        'bank_transfer', 'credit_card', 'check', 'cash', 'wire', 'ach', 'other'
    )),
    payment_reference text,
    payment_date date,
    scheduled_date date,
    bank_account_last4 text,
    reconciled bool NOT NULL DEFAULT false,
    reconciled_at timestamptz,
    reconciled_by text REFERENCES public.nexus_users (user_id),
    description text,
    notes text,
    case_id text,
    metadata jsonb NOT NULL DEFAULT '{}',
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT nexus_payments_parties_fkey FOREIGN KEY (from_id, to_id)
        REFERENCES public.nexus_tenant_relationships (client_id, vendor_id),
    CONSTRAINT nexus_payments_relationship_id_fkey FOREIGN KEY (relationship_id, from_id, to_id)
        REFERENCES public.nexus_tenant_relationships (id, client_id, vendor_id),
    CONSTRAINT nexus_payments_invoice_id_fkey FOREIGN KEY (invoice_id, from_id, to_id)
        REFERENCES public.nexus_invoices (invoice_id, client_id, vendor_id),
    CONSTRAINT nexus_payments_case_id_fkey FOREIGN KEY (case_id, from_id, to_id)
        REFERENCES public.nexus_cases (case_id, client_id, vendor_id)
);
CREATE INDEX nexus_payments_from_id_index ON public.nexus_payments (from_id, to_id);
CREATE INDEX nexus_payments_from_status_index ON public.nexus_payments (from_id, status, payment_date);
CREATE INDEX nexus_payments_to_status_index ON public.nexus_payments (to_id, status, payment_date);
CREATE INDEX nexus_payments_invoice_id_index ON public.nexus_payments (invoice_id);
CREATE INDEX nexus_payments_case_id_index ON public.nexus_payments (case_id);

-- user_id is the user of the token (users.id), as scope and policy compare it, and null is everyone of the org.
CREATE TABLE public.nexus_notifications (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    notification_id text NOT NULL UNIQUE DEFAULT public.generate_nexus_id('NTF')
        CHECK (notification_id LIKE 'NTF-%'),
    tenant_id text NOT NULL REFERENCES public.nexus_tenants (tenant_id),
    user_id uuid,
    context text CHECK (context IN ('client', 'vendor', 'both')),
    context_id text,
    notification_type text NOT NULL CHECK (notification_type IN (
        'payment_received', 'payment_pending', 'payment_overdue', 'payment_failed', 'payment_disputed',
        'payment_reminder', 'invoice_received', 'invoice_overdue', 'case_created', 'case_updated', 'case_assigned',
        'case_resolved', 'case_escalated', 'message_received', 'evidence_uploaded', 'vendor_linked',
        'vendor_invite_received', 'vendor_invite_accepted', 'relationship_suspended', 'relationship_terminated',
        'sla_warning', 'sla_breach', 'system_announcement', 'maintenance_notice', 'welcome'
    )),
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'critical')),
    title text NOT NULL,
    body text,
    reference_type text,
    reference_id text,
    action_url text,
    action_label text,
    is_read bool NOT NULL DEFAULT false,
    read_at timestamptz,
    delivered_realtime bool NOT NULL DEFAULT false,
    delivered_push bool NOT NULL DEFAULT false,
    delivered_email bool NOT NULL DEFAULT false,
    delivery_attempts jsonb NOT NULL DEFAULT '[]',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT nexus_notifications_user_id_fkey FOREIGN KEY (tenant_id, user_id)
        REFERENCES public.nexus_users (tenant_id, auth_user_id)
);
CREATE INDEX nexus_notifications_user_id_index ON public.nexus_notifications (tenant_id, user_id, created_at);
CREATE INDEX nexus_notifications_unread_index ON public.nexus_notifications (tenant_id, user_id) WHERE NOT is_read;
CREATE INDEX nexus_notifications_type_index ON public.nexus_notifications (tenant_id, notification_type);
CREATE INDEX nexus_notifications_reference_index
    ON public.nexus_notifications (tenant_id, reference_type, reference_id);

-- A view reads as its owner unless told otherwise, past every policy.
CREATE VIEW public.nexus_notification_counts WITH (security_invoker = true) AS
SELECT
    tenant_id,
    user_id,
    count(*) AS total_unread,
    count(*) FILTER (WHERE notification_type LIKE 'payment\_%') AS payment_unread,
    count(*) FILTER (WHERE notification_type LIKE 'case\_%') AS case_unread,
    count(*) FILTER (WHERE priority = 'critical') AS critical_unread
FROM public.nexus_notifications
WHERE NOT is_read
GROUP BY tenant_id, user_id;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
