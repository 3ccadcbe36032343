-- migrate:up

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organization_id bigint NOT NULL REFERENCES organizations (id),
  email text NOT NULL CHECK (position('@' IN email) > 1),
  display_name text NOT NULL CHECK (display_name <> ''),
  created_at timestamptz NOT NULL DEFAULT now(),
  -- People leave but stay named on old invoices: deactivated, never deleted.
  deactivated_at timestamptz CHECK (deactivated_at >= created_at)
);

-- Unique whatever the case. The type citext would say it too, but it is an extension.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE INDEX users_organization_id_idx ON users (organization_id);

-- migrate:down

DROP TABLE users;
