-- What an org plans and promises for its controls: how each quadrant is verified, who answers how fast, what may
-- fail next. The rules are those of the other tables of the domain.

-- migrate:up
CREATE TABLE public.verification_strategies (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    quadrant text NOT NULL CHECK (quadrant IN ('self', 'specialist', 'service', 'strange')),
    strategy_name text NOT NULL,
    description text,
    verification_method text CHECK (verification_method IN (
        'user_reporting', 'toolbox_talk', 'sla_monitoring', 'proactive_sampling'
    )),
    frequency_days int CHECK (frequency_days > 0),
    notification_days_before int CHECK (notification_days_before >= 0),
    escalation_enabled bool DEFAULT false,
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id)
);

CREATE TABLE public.service_level_agreements (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    control_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    service_name text NOT NULL,
    uptime_percentage numeric CHECK (uptime_percentage BETWEEN 0 AND 100),
    response_time_hours numeric,
    resolution_time_hours numeric,
    start_date date NOT NULL,
    end_date date CHECK (end_date >= start_date),
    performance_current numeric,
    breaches_count int DEFAULT 0 CHECK (breaches_count >= 0),
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT service_level_agreements_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id),
    CONSTRAINT service_level_agreements_provider_id_fkey FOREIGN KEY (organization_id, provider_id)
        REFERENCES public.control_providers (organization_id, id)
);
CREATE INDEX service_level_agreements_control_id_index
    ON public.service_level_agreements (organization_id, control_id);
CREATE INDEX service_level_agreements_provider_id_index
    ON public.service_level_agreements (organization_id, provider_id);

CREATE TABLE public.risk_predictions (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    control_id uuid NOT NULL,
    days_since_touched int,
    provider_distance numeric,
    quadrant text CHECK (quadrant IN ('self', 'specialist', 'service', 'strange')),
    functional_range text CHECK (functional_range IN ('narrow', 'wide')),
    historical_incident_count int,
    trace_count_last_90_days int,
    failure_probability numeric CHECK (failure_probability BETWEEN 0 AND 1),
    predicted_failure_date date,
    confidence_score numeric CHECK (confidence_score BETWEEN 0 AND 1),
    model_version text,
    predicted_at timestamptz DEFAULT now(),
    organization_id uuid NOT NULL REFERENCES public.organizations (id),
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, id),
    CONSTRAINT risk_predictions_control_id_fkey FOREIGN KEY (organization_id, control_id)
        REFERENCES public.controls (organization_id, id)
);
CREATE INDEX risk_predictions_control_id_index ON public.risk_predictions (organization_id, control_id);
CREATE INDEX risk_predictions_failure_probability_index
    ON public.risk_predictions (organization_id, failure_probability);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['verification_strategies', 'service_level_agreements', 'risk_predictions'] LOOP
        CALL public.confine_table(name, 'organization_id = public.current_org_id()');
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON public.%I TO app_rw', name);
        EXECUTE format('CREATE TRIGGER keep_organization BEFORE INSERT OR UPDATE ON public.%I
            FOR EACH ROW EXECUTE FUNCTION public.keep_organization()', name);
    END LOOP;
END
$$;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'shapegate migrations only go forward; restore a backup instead'; END $$;
