-- Applied to the schema of every tenant. Names carry no schema: the search_path is the tenant's
-- while this runs, and the same text serves them all.

-- migrate:up

CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  email text CHECK (position('@' IN email) > 1),
  vat_number text,
  -- ISO 3166-1, two letters.
  country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX customers_name_idx ON customers (lower(name));

-- migrate:down

DROP TABLE customers;
