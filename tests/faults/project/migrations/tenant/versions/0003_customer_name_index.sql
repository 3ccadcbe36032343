-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY ix3 ON r1 (name);
