-- migrate:up

-- A fixed search_path: otherwise the names in the body would be looked up in whatever path the
-- caller has, which may be another tenant's. The body needs no table, so none is in the path.
CREATE FUNCTION touch_updated_at() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END;
$$;

-- The WHEN keeps an UPDATE that changes nothing from looking like an edit, and spares the call.
CREATE TRIGGER customers_touch BEFORE UPDATE ON customers
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER invoices_touch BEFORE UPDATE ON invoices
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER projects_touch BEFORE UPDATE ON projects
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER tasks_touch BEFORE UPDATE ON tasks
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();

-- migrate:down

DROP TRIGGER tasks_touch ON tasks;
DROP TRIGGER projects_touch ON projects;
DROP TRIGGER invoices_touch ON invoices;
DROP TRIGGER customers_touch ON customers;
DROP FUNCTION touch_updated_at();
