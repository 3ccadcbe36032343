#include "tenant/resident_gate.h"

#include "tenant/gate.h"
#include "tenant/gate_component.h"

namespace tenantctl {
namespace {

constexpr auto create_resident = R"(CREATE TABLE tenantctl.resident (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  tenant_id uuid NOT NULL,
  slug text NOT NULL,
  schema_name text NOT NULL,
  version_table text NOT NULL,
  path_behind text NOT NULL
))";

// Revisions of `rows protect` ask the registry whose schema they run in.
constexpr auto create_tenant_view = R"(CREATE VIEW tenantctl.tenant AS
SELECT r.tenant_id AS id, r.slug, 'schema'::pg_catalog.text AS isolation, r.schema_name,
  NULL::pg_catalog.text AS database_name, NULL::pg_catalog.text AS cluster
FROM tenantctl.resident r)";

std::string create_resident_admission() {
  return R"(CREATE FUNCTION tenantctl.admission(slug text, minimum_revision text,
  OUT tenant_id uuid, OUT path text, OUT runtime_role text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  resident tenantctl.resident;
  mark text;
  head text;
  minimum text := substring(minimum_revision FROM '^[0-9]{1,18}');
BEGIN
)" + revision_is_named() +
         R"(  SELECT r.* INTO resident FROM tenantctl.resident r WHERE r.slug = admission.slug;
  IF resident.tenant_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TG006',
      MESSAGE = format('database %I is not that of tenant %s', current_database(),
                       coalesce(admission.slug, 'NULL')),
      HINT = 'The gate beside the registry tells where a tenant lives.';
  END IF;
  SELECT coalesce(obj_description(c.oid, 'pg_class'), '') INTO mark
  FROM pg_namespace n
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = resident.version_table
    AND c.relkind = 'r' AND c.relowner = n.nspowner
  WHERE n.nspname = resident.schema_name;
  IF NOT FOUND OR mark ~ ' dropping$' THEN
    RAISE EXCEPTION USING ERRCODE = 'TG003',
      MESSAGE = format('tenant %s is not ready: schema %I is not here', resident.slug,
                       resident.schema_name);
  END IF;
)" + revision_is_enough() +
         R"(  tenant_id := resident.tenant_id;
  path := quote_ident(resident.schema_name) || resident.path_behind;
END
$$)";
}

constexpr auto create_resident_tenant =
    R"(CREATE FUNCTION tenantctl.current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT r.tenant_id FROM tenantctl.resident r $$)";

constexpr auto create_resident_requirement =
    R"(CREATE FUNCTION tenantctl.require_tenant() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tenant pg_catalog.uuid := (SELECT r.tenant_id FROM tenantctl.resident r);
BEGIN
  IF tenant IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TG005', MESSAGE = 'this database has no tenant yet',
      HINT = 'A template cannot hold rows of a tenant: write them when the tenant is there.';
  END IF;
  RETURN tenant;
END
$$)";

// There is nobody across.
constexpr auto create_no_look_across =
    R"(CREATE FUNCTION tenantctl.looks_across() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT false $$)";

// To PUBLIC: whoever may not read of this tenant has no right to connect.
std::vector<std::string> statements_of_resident_gate() {
  return {create_resident,
          create_tenant_view,
          create_resident_admission(),
          std::string(enter_function()),
          create_resident_tenant,
          create_resident_requirement,
          std::string(leave_function()),
          create_no_look_across,
          "GRANT USAGE ON SCHEMA tenantctl TO PUBLIC",
          "GRANT SELECT ON TABLE tenantctl.resident, tenantctl.tenant TO PUBLIC",
          "GRANT EXECUTE ON FUNCTION tenantctl.admission(text, text), "
          "tenantctl.enter(text, text), tenantctl.current_tenant(), tenantctl.require_tenant(), "
          "tenantctl.leave(), tenantctl.looks_across() TO PUBLIC"};
}

const Component& resident_gate_component() {
  static const Component component{.name = "gate of a tenant's own database",
                                   .tables = {"resident"},
                                   .versions = {statements_of_resident_gate()}};
  return component;
}

}  // namespace

int ResidentGate::version() { return resident_gate_component().version(); }

Installed ResidentGate::install() { return components_.install(resident_gate_component()); }

Installed ResidentGate::settle(const Resident& resident) {
  const Installed installed = install();
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.resident AS r (tenant_id, slug, schema_name, version_table, "
              "path_behind) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (only_row) DO UPDATE SET "
              "tenant_id = EXCLUDED.tenant_id, slug = EXCLUDED.slug, "
              "schema_name = EXCLUDED.schema_name, version_table = EXCLUDED.version_table, "
              "path_behind = EXCLUDED.path_behind WHERE (r.*) IS DISTINCT FROM (EXCLUDED.*)",
       .values = {resident.id, resident.slug, resident.schema, resident.version_table,
                  path_text(resident.path_behind)}});
  components_.write(resident_gate_component(), std::move(messages));
  return installed;
}

}  // namespace tenantctl
