-- Notes of all tenants in one table. Row-level security keeps them apart: FORCED, so that it binds
-- the owner too, and without an entered tenant there is no row, and none can be written.

-- migrate:up

CREATE TABLE notes (
  tenant_id uuid NOT NULL DEFAULT tenantctl.require_tenant(),
  id bigint GENERATED ALWAYS AS IDENTITY,
  body text NOT NULL CHECK (body <> ''),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);

ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON notes
  USING (tenant_id = (SELECT tenantctl.current_tenant()))
  WITH CHECK (tenant_id = (SELECT tenantctl.current_tenant()));
-- Reading only, and only for who is in the gate's --admin-role.
CREATE POLICY across ON notes FOR SELECT USING ((SELECT tenantctl.looks_across()));

GRANT USAGE ON SCHEMA :"schema" TO :"app";
GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO :"app";

-- migrate:down

DROP TABLE notes;
