-- Serves a schema of one tenant (enterprise) and the schema `starter`, home of the rows of all
-- starters: the tenant's column and the policy are in both. Three projects are a starter's limit.

-- migrate:up

CREATE TABLE projects (
  tenant_id uuid NOT NULL DEFAULT tenantctl.require_tenant(),
  id bigint GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL CHECK (name <> ''),
  PRIMARY KEY (tenant_id, id)
);

ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE projects FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON projects
  USING (tenant_id = (SELECT tenantctl.current_tenant()))
  WITH CHECK (tenant_id = (SELECT tenantctl.current_tenant()));

-- Two inserts at once must not both find room: the tenant's lock makes them take turns.
CREATE FUNCTION limit_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(NEW.tenant_id::text, 0));
  IF (SELECT count(*) FROM starter.projects p WHERE p.tenant_id = NEW.tenant_id) >= 3 THEN
    RAISE EXCEPTION USING ERRCODE = 'EX001', MESSAGE = 'a starter has at most 3 projects';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER limit_projects BEFORE INSERT ON projects
  FOR EACH ROW WHEN (tenantctl.current_tenant() IS NOT NULL) EXECUTE FUNCTION limit_projects();
ALTER TABLE projects DISABLE TRIGGER limit_projects;
DO $$
BEGIN
  IF current_schema() = 'starter' THEN
    ALTER TABLE projects ENABLE TRIGGER limit_projects;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA :"schema" TO :"app";
GRANT SELECT, INSERT, UPDATE, DELETE ON projects TO :"app";

-- migrate:down

DROP TABLE projects;
DROP FUNCTION limit_projects();
