-- Applied once, to the shared schema. One row per customer of the product; the rest of what a
-- customer owns lives in a schema of its own, see migrations/tenant.

-- migrate:up

CREATE TABLE organizations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- In URLs, so it may not change with the name and needs no escaping.
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  name text NOT NULL CHECK (name <> ''),
  -- Where this organization's tables are. NULL until the schema exists; 63 bytes is the longest
  -- identifier that PostgreSQL keeps whole.
  schema_name text UNIQUE CHECK (octet_length(schema_name) BETWEEN 1 AND 63),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down

DROP TABLE organizations;
