-- migrate:up

-- A row per setting instead of a column per setting: a new one needs no revision. What a name
-- means and which values it takes is the application's knowledge.
CREATE TABLE settings (
  organization_id bigint NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_.]*$'),
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- Begins with organization_id, so the foreign key needs no index of its own.
  PRIMARY KEY (organization_id, name)
);

-- migrate:down

DROP TABLE settings;
