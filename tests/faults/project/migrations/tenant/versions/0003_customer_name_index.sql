-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY ix3 ON r1 (name);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY ix3;
