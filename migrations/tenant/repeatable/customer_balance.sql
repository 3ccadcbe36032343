-- A repeatable: applied behind all revisions, and again in every tenant when this file changes.

-- migrate:up

-- The path is fixed, so that the body finds this tenant's invoices, whoever calls.
CREATE OR REPLACE FUNCTION customer_balance(customer bigint, in_currency text) RETURNS bigint
  LANGUAGE sql STABLE
  SET search_path = :"schema", pg_temp
AS $$
  SELECT coalesce(sum(total_cents), 0)::bigint
  FROM invoices
  WHERE customer_id = customer AND currency = in_currency AND status IN ('sent')
$$;
