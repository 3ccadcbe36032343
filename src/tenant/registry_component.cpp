#include "tenant/registry_component.h"

namespace tenantctl {
namespace {

std::vector<std::string> registry_of_version_1() {
  return {
      "CREATE TABLE tenantctl.tenant (\n"
      "  id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),\n"
      "  slug text NOT NULL UNIQUE CHECK (slug COLLATE pg_catalog.\"C\" ~ "
      "'^[a-z][a-z0-9_-]{0,62}$'),\n"
      "  name text NOT NULL,\n"
      "  tier text NOT NULL DEFAULT 'standard' CHECK (tier <> ''),\n"
      "  isolation text NOT NULL CHECK (isolation IN ('schema', 'database', 'rows')),\n"
      "  schema_name text CHECK (pg_catalog.octet_length(schema_name) BETWEEN 1 AND 63),\n"
      "  database_name text CHECK (pg_catalog.octet_length(database_name) BETWEEN 1 AND 63),\n"
      "  cluster text CHECK (cluster <> ''),\n"
      "  state text NOT NULL CHECK (state IN ('provisioning', 'ready', 'suspended', 'archived', "
      "'deleting')),\n"
      "  runtime_role text CHECK (pg_catalog.octet_length(runtime_role) BETWEEN 1 AND 63),\n"
      "  metadata jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(metadata) = "
      "'object'),\n"
      "  state_since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
      "  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
      "  updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
      "  CONSTRAINT tenant_place_check CHECK (CASE isolation WHEN 'database' THEN database_name IS "
      "NOT NULL ELSE schema_name IS NOT NULL END)\n"
      ")",
      // A NULL is this database, this cluster: two rows that say so mean the same place.
      "CREATE UNIQUE INDEX tenant_place ON tenantctl.tenant ((COALESCE(database_name, '')), "
      "schema_name, (COALESCE(cluster, ''))) WHERE isolation = 'schema'",
      "CREATE UNIQUE INDEX tenant_database ON tenantctl.tenant (database_name, "
      "(COALESCE(cluster, ''))) WHERE isolation = 'database'",
      "CREATE FUNCTION tenantctl.tenant_touch() RETURNS trigger LANGUAGE plpgsql\n"
      "SET search_path = pg_catalog, pg_temp AS $$\nBEGIN\n"
      "  NEW.updated_at := pg_catalog.clock_timestamp();\n"
      "  IF NEW.state IS DISTINCT FROM OLD.state THEN\n"
      "    NEW.state_since := NEW.updated_at;\n"
      "  END IF;\n"
      "  RETURN NEW;\nEND\n$$",
      "CREATE FUNCTION tenantctl.tenant_notify() RETURNS trigger LANGUAGE plpgsql\n"
      "SET search_path = pg_catalog, pg_temp AS $$\nDECLARE\n"
      "  told record;\nBEGIN\n"
      "  IF TG_OP = 'DELETE' THEN told := OLD; ELSE told := NEW; END IF;\n"
      "  PERFORM pg_catalog.pg_notify('tenantctl_tenant', pg_catalog.json_build_object(\n"
      "    'slug', told.slug, 'state', told.state, 'operation', "
      "pg_catalog.lower(TG_OP))::pg_catalog.text);\n"
      // A cache that knows the old slug must forget it.
      "  IF TG_OP = 'UPDATE' AND OLD.slug <> NEW.slug THEN\n"
      "    PERFORM pg_catalog.pg_notify('tenantctl_tenant', pg_catalog.json_build_object(\n"
      "      'slug', OLD.slug, 'state', NEW.state, 'operation', 'rename')::pg_catalog.text);\n"
      "  END IF;\n"
      "  RETURN NULL;\nEND\n$$",
      "REVOKE ALL ON FUNCTION tenantctl.tenant_touch(), tenantctl.tenant_notify() FROM PUBLIC",
      "CREATE TRIGGER tenant_touch BEFORE UPDATE ON tenantctl.tenant "
      "FOR EACH ROW EXECUTE FUNCTION tenantctl.tenant_touch()",
      "CREATE TRIGGER tenant_notify AFTER INSERT OR UPDATE OR DELETE ON tenantctl.tenant "
      "FOR EACH ROW EXECUTE FUNCTION tenantctl.tenant_notify()"};
}

// Schemas at versions like a tenant's, but nobody's own: many tenants' rows, or no tenant yet.
std::vector<std::string> registry_of_version_2() {
  return {
      "CREATE TABLE tenantctl.place (\n"
      "  schema_name text PRIMARY KEY CHECK (pg_catalog.octet_length(schema_name) BETWEEN 1 AND "
      "63),\n"
      "  purpose text NOT NULL CHECK (purpose IN ('rows', 'pool')),\n"
      "  state text NOT NULL DEFAULT 'provisioning' CHECK (state IN ('provisioning', 'ready')),\n"
      "  runtime_role text CHECK (pg_catalog.octet_length(runtime_role) BETWEEN 1 AND 63),\n"
      "  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()\n"
      ")"};
}

// Which registry this is; clusters whose registries belong to it, and who they had when they were
// read last. A slug is one tenant's wherever he lives: what is registered here is checked by the
// trigger, what is read there by who writes it, with tenantctl.tenant locked.
std::vector<std::string> registry_of_version_3() {
  return {
      "CREATE TABLE tenantctl.registry (\n"
      "  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),\n"
      "  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid()\n"
      ")",
      "INSERT INTO tenantctl.registry DEFAULT VALUES",
      "CREATE TABLE tenantctl.cluster (\n"
      "  name text PRIMARY KEY CHECK (name COLLATE pg_catalog.\"C\" ~ '^[a-z0-9_-]+$'),\n"
      "  registry uuid NOT NULL UNIQUE,\n"
      "  joined_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
      "  synced_at timestamptz\n"
      ")",
      "CREATE TABLE tenantctl.cluster_tenant (\n"
      "  id uuid PRIMARY KEY,\n"
      "  slug text NOT NULL UNIQUE,\n"
      "  name text NOT NULL,\n"
      "  tier text NOT NULL,\n"
      "  isolation text NOT NULL,\n"
      "  schema_name text,\n"
      "  database_name text,\n"
      "  cluster text NOT NULL REFERENCES tenantctl.cluster (name) ON DELETE CASCADE,\n"
      "  state text NOT NULL,\n"
      "  runtime_role text,\n"
      "  metadata jsonb NOT NULL,\n"
      "  state_since timestamptz NOT NULL,\n"
      "  created_at timestamptz NOT NULL\n"
      ")",
      "CREATE TRIGGER tenant_notify AFTER INSERT OR UPDATE OR DELETE ON tenantctl.cluster_tenant "
      "FOR EACH ROW EXECUTE FUNCTION tenantctl.tenant_notify()",
      // Whoever may write of tenants need not see those of other clusters.
      "CREATE FUNCTION tenantctl.tenant_slug() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"
      "SET search_path = pg_catalog, pg_temp AS $$\nDECLARE\n"
      "  elsewhere text;\nBEGIN\n"
      "  SELECT CASE WHEN c.metadata #> '{tenantctl,reserved}' IS NULL THEN 'lives'\n"
      "    ELSE 'is being made' END || ' on cluster ' || c.cluster INTO elsewhere\n"
      "  FROM tenantctl.cluster_tenant c WHERE c.slug = NEW.slug\n"
      "  AND (c.metadata #> '{tenantctl,reserved}' IS NULL\n"
      "    OR c.state_since > pg_catalog.clock_timestamp() - '10 min'::interval);\n"
      "  IF FOUND THEN\n"
      "    RAISE EXCEPTION USING ERRCODE = '23505', CONSTRAINT = 'tenant_slug_elsewhere',\n"
      "      MESSAGE = pg_catalog.format('tenant %s %s', NEW.slug, elsewhere);\n"
      "  END IF;\n"
      "  RETURN NEW;\nEND\n$$",
      "REVOKE ALL ON FUNCTION tenantctl.tenant_slug() FROM PUBLIC",
      "CREATE TRIGGER tenant_slug BEFORE INSERT OR UPDATE OF slug ON tenantctl.tenant "
      "FOR EACH ROW EXECUTE FUNCTION tenantctl.tenant_slug()"};
}

}  // namespace

const Component& registry_component() {
  static const Component component{
      .name = "registry",
      .tables = {"tenant", "place", "registry", "cluster", "cluster_tenant"},
      .versions = {registry_of_version_1(), registry_of_version_2(), registry_of_version_3()}};
  return component;
}

}  // namespace tenantctl
