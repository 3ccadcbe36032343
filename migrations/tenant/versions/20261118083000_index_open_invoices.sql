-- CONCURRENTLY lets the tenant go on writing while the index is built, but refuses to run inside
-- a transaction. So each section holds this one statement: if it fails, nothing else is half done.

-- migrate:up transaction:false

-- No IF NOT EXISTS: an interrupted build leaves an invalid index of this name, which it would
-- take for the finished one. Drop that by hand, then upgrade again.
CREATE INDEX CONCURRENTLY invoices_open_due_on_idx ON invoices (due_on) WHERE status = 'sent';

-- migrate:down transaction:false

DROP INDEX CONCURRENTLY invoices_open_due_on_idx;
