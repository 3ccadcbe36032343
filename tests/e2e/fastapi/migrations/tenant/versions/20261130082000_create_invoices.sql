-- One tenant's invoices in that tenant's schema: no column says whose they are. So in the home of
-- the starters' rows nobody may use them.

-- migrate:up

CREATE TABLE invoices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL CHECK (customer <> ''),
  cents bigint NOT NULL CHECK (cents > 0)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON invoices TO :"app";
-- Inside a string no placeholder is replaced: the role's name goes by a setting.
SELECT set_config('example.app', :'app', true);
DO $$
BEGIN
  IF current_schema() = 'starter' THEN
    EXECUTE format('REVOKE ALL ON invoices FROM %I', current_setting('example.app'));
  END IF;
END
$$;

-- migrate:down

DROP TABLE invoices;
