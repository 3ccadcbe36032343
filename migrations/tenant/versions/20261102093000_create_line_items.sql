-- migrate:up

CREATE TABLE line_items (
  invoice_id bigint NOT NULL REFERENCES invoices (id) ON DELETE CASCADE,
  -- The order on paper, and with the invoice the key.
  position integer NOT NULL CHECK (position > 0),
  description text NOT NULL CHECK (description <> ''),
  quantity numeric(12, 3) NOT NULL DEFAULT 1,
  -- Whole cents: sums of integers need no rounding rule. Negative for a discount.
  unit_price_cents bigint NOT NULL,
  -- Rounded per line and in one place, so that no two programs disagree by a cent.
  amount_cents bigint NOT NULL
    GENERATED ALWAYS AS (CAST(round(quantity * unit_price_cents) AS bigint)) STORED,
  PRIMARY KEY (invoice_id, position)
);

-- migrate:down

DROP TABLE line_items;
