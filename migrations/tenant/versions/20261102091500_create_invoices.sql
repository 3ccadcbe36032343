-- migrate:up

-- An enum fits because these states are fixed by law and code. Mind that a value can be added
-- later but never removed; a list that the users edit belongs into a table.
CREATE TYPE invoice_status AS ENUM ('draft', 'sent', 'paid', 'void');

CREATE TABLE invoices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers (id),
  -- Given when the invoice is sent: drafts that are thrown away leave no gap in the numbers.
  number text UNIQUE,
  status invoice_status NOT NULL DEFAULT 'draft',
  currency text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
  issued_on date,
  due_on date,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT invoices_due_after_issue CHECK (due_on >= issued_on),
  CONSTRAINT invoices_sent_is_complete CHECK (
    status IN ('draft', 'void')
    OR (number IS NOT NULL AND issued_on IS NOT NULL AND due_on IS NOT NULL)
  )
);

CREATE INDEX invoices_customer_id_idx ON invoices (customer_id);

-- migrate:down

-- The table first: its column status depends on the type. No CASCADE, here as everywhere: what
-- a later revision left behind should stop the downgrade, not vanish with it.
DROP TABLE invoices;
DROP TYPE invoice_status;
