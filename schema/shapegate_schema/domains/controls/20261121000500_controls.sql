-- The controls domain: who provides which safety control, who touched it, and how far from us it has moved.
--
-- Every reference between rows of an org takes organization_id along, so a row cannot point into another org
-- (referential checks do not see row-level security). A user is referred to through memberships.
-- Every index begins with organization_id, as every query does under row-level security.

-- migrate:up
CREATE TABLE public.control_providers (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    provider_type text NOT NULL CHECK (provider_type IN ('internal', 'contractor', 'vendor', 'user')),
    contact_info jsonb,
    is_user_themselves bool DEFAULT false,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id)
);

CREATE TABLE public.controls (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    description text,
    control_type text CHECK (control_type IN ('physical', 'procedural', 'technical')),
    last_touched_at timestamptz,
    last_touched_by_user_id uuid,
    provider_distance numeric DEFAULT 0,
    current_quadrant text DEFAULT 'self' CHECK (current_quadrant IN ('self', 'specialist', 'service', 'strange')),
    functional_range text DEFAULT 'wide' CHECK (functional_range IN ('narrow', 'wide')),
    failure_probability numeric CHECK (failure_probability BETWEEN 0 AND 1),
    requires_refresher_training bool DEFAULT false,
    primary_provider_id uuid NOT NULL,
    owned_by_user bool DEFAULT false,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT controls_primary_provider_id_fkey FOREIGN KEY (organization_id, primary_provider_id)
        REFERENCES public.control_providers (organization_id, id),
    CONSTRAINT controls_last_touched_by_user_id_fkey FOREIGN KEY (organization_id, last_touched_by_user_id)
        REFERENCES public.memberships (organization_id, user_id)
);
CREATE INDEX controls_current_quadrant_index ON public.controls (organization_id, current_quadrant);
CREATE INDEX controls_last_touched_at_index ON public.controls (organization_id, last_touched_at);
CREATE INDEX controls_primary_provider_id_index ON public.controls (organization_id, primary_provider_id);

CREATE TABLE public.provider_networks (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    from_provider_id uuid NOT NULL,
    to_provider_id uuid NOT NULL,
    relationship_type text CHECK (relationship_type IN ('employs', 'contracts', 'supplies')),
    path_weight numeric DEFAULT 1.0,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT provider_networks_from_provider_id_fkey FOREIGN KEY (organization_id, from_provider_id)
        REFERENCES public.control_providers (organization_id, id),
    CONSTRAINT provider_networks_to_provider_id_fkey FOREIGN KEY (organization_id, to_provider_id)
        REFERENCES public.control_providers (organization_id, id)
);
CREATE INDEX provider_networks_from_provider_id_index ON public.provider_networks (organization_id, from_provider_id);
CREATE INDEX provider_networks_to_provider_id_index ON public.provider_networks (organization_id, to_provider_id);

CREATE TABLE public.control_interactions (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    control_id uuid NOT NULL,
    user_id uuid NOT NULL,
    interaction_type text NOT NULL CHECK (interaction_type IN ('use', 'inspect', 'maintain', 'test')),
    duration_minutes bigint,
    notes text,
    issues_found bool DEFAULT false,
    quadrant_before text CHECK (quadrant_before IN ('self', 'specialist', 'service', 'strange')),
    quadrant_after text CHECK (quadrant_after IN ('self', 'specialist', 'service', 'strange')),
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT control_interactions_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id),
    CONSTRAINT control_interactions_user_id_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES public.memberships (organization_id, user_id)
);
CREATE INDEX control_interactions_control_id_index ON public.control_interactions (organization_id, control_id);
CREATE INDEX control_interactions_user_id_index ON public.control_interactions (organization_id, user_id);

CREATE TABLE public.quadrant_classifications (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    control_id uuid NOT NULL,
    quadrant text NOT NULL CHECK (quadrant IN ('self', 'specialist', 'service', 'strange')),
    time_since_touched_days bigint,
    provider_distance numeric,
    classified_at timestamptz DEFAULT now(),
    reason text CHECK (reason IN ('initial_classification', 'time_decay', 'touch_interaction')),
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT quadrant_classifications_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id)
);
CREATE INDEX quadrant_classifications_control_id_index
    ON public.quadrant_classifications (organization_id, control_id);

CREATE TABLE public.organizational_traces (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    control_id uuid NOT NULL,
    trace_type text NOT NULL CHECK (trace_type IN (
        'maintenance_request', 'incident_report', 'time_off_request', 'training_record', 'inspection_log', 'work_order'
    )),
    description text,
    recorded_by_user_id uuid,
    recorded_at timestamptz DEFAULT now(),
    related_incident_id uuid,
    severity text,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT organizational_traces_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id),
    CONSTRAINT organizational_traces_recorded_by_user_id_fkey FOREIGN KEY (organization_id, recorded_by_user_id)
        REFERENCES public.memberships (organization_id, user_id),
    -- An incident is itself a trace, of the type incident_report.
    CONSTRAINT organizational_traces_related_incident_id_fkey FOREIGN KEY (organization_id, related_incident_id)
        REFERENCES public.organizational_traces (organization_id, id)
);
CREATE INDEX organizational_traces_control_id_index ON public.organizational_traces (organization_id, control_id);
CREATE INDEX organizational_traces_trace_type_index ON public.organizational_traces (organization_id, trace_type);

CREATE TABLE public.competency_records (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL,
    control_id uuid NOT NULL,
    competency_level text DEFAULT 'novice'
        CHECK (competency_level IN ('novice', 'competent', 'proficient', 'expert')),
    last_training_date date,
    next_refresher_due date,
    training_hours numeric DEFAULT 0,
    certified_by text,
    certification_expires date,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT competency_records_user_id_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES public.memberships (organization_id, user_id),
    CONSTRAINT competency_records_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id)
);
CREATE INDEX competency_records_user_id_index ON public.competency_records (organization_id, user_id);
CREATE INDEX competency_records_control_id_index ON public.competency_records (organization_id, control_id);
CREATE INDEX competency_records_next_refresher_due_index
    ON public.competency_records (organization_id, next_refresher_due);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
