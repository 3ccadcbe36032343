-- First of two steps: the column appears, and a program that does not know it goes on working.

-- migrate:up

-- Two commands, not one: added without a default, the old rows keep NULL, which the next
-- revision reads as "not yet computed". New invoices start at 0, and the program writes the
-- total together with the line items. Neither command reads or writes a row.
ALTER TABLE invoices ADD COLUMN total_cents bigint;
ALTER TABLE invoices ALTER COLUMN total_cents SET DEFAULT 0;

-- migrate:down

-- Loses nothing: every total can be computed from the line items again.
ALTER TABLE invoices DROP COLUMN total_cents;
