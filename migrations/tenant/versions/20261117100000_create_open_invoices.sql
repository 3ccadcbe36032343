-- migrate:up

-- Columns by name: a * would be frozen to the columns of today anyway. A view that changes with
-- every release is better off in migrations/tenant/repeatable.
CREATE VIEW open_invoices AS
SELECT
  invoices.id,
  invoices.number,
  customers.name AS customer_name,
  invoices.currency,
  invoices.total_cents,
  invoices.due_on,
  -- Negative while there is time left.
  current_date - invoices.due_on AS days_overdue
FROM invoices
JOIN customers ON customers.id = invoices.customer_id
WHERE invoices.status = 'sent';

-- migrate:down

DROP VIEW open_invoices;
