-- migrate:up

CREATE TABLE projects (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers (id),
  name text NOT NULL CHECK (name <> ''),
  hourly_rate_cents bigint CHECK (hourly_rate_cents >= 0),
  archived_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Also serves the foreign key. Only living projects compete for a name.
CREATE INDEX projects_customer_id_idx ON projects (customer_id);
CREATE UNIQUE INDEX projects_name_key ON projects (customer_id, lower(name))
  WHERE archived_at IS NULL;

-- migrate:down

DROP TABLE projects;
