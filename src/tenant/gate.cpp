#include "tenant/gate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "pq/transaction.h"
#include "tenant/gate_component.h"
#include "tenant/registry_component.h"

namespace tenantctl {
namespace {

// What our own block raises; class TC is nobody else's.
constexpr std::string_view may_log_in = "TC026";

// What the cast says that refuses a tenant of the pool.
constexpr std::string_view other_role = "works-as-another-role";

// All that an application needs, and nothing of ours besides.
void add_grants(std::vector<pq::Message>& messages, const std::string& role) {
  const std::string grantee = quote_identifier(role);
  messages.push_back({.sql = "GRANT USAGE ON SCHEMA tenantctl TO " + grantee});
  messages.push_back(
      {.sql = "GRANT EXECUTE ON FUNCTION tenantctl.admission(text, text), "
              "tenantctl.enter(text, text), tenantctl.current_tenant(), "
              "tenantctl.require_tenant(), tenantctl.leave(), tenantctl.looks_across() TO " +
              grantee});
}

// A setting carries the role's name into the block, which takes no parameters.
void add_admin_role(std::vector<pq::Message>& messages, const std::string& role) {
  messages.push_back(
      {.sql = "SELECT pg_catalog.set_config('tenantctl.admin_role', $1, true)", .values = {role}});
  messages.push_back(
      {.sql = "DO $tenantctl$\n"
              "DECLARE\n"
              "  role pg_catalog.text := pg_catalog.current_setting('tenantctl.admin_role');\n"
              "  before pg_catalog.text;\n"
              "BEGIN\n"
              "  IF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = role "
              "AND r.rolcanlogin) THEN\n"
              "    RAISE EXCEPTION USING ERRCODE = 'TC026', MESSAGE = 'the role may log in';\n"
              "  END IF;\n"
              "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = role) "
              "THEN\n"
              "    EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);\n"
              "  END IF;\n"
              "  SELECT g.admin_role INTO before FROM tenantctl.gate g;\n"
              "  IF before <> role AND EXISTS (SELECT FROM pg_catalog.pg_roles r "
              "WHERE r.rolname::text = before) THEN\n"
              "    EXECUTE pg_catalog.format('REVOKE SELECT ON tenantctl.tenant, "
              "tenantctl.cluster_tenant FROM %I', "
              "before);\n"
              "  END IF;\n"
              "  UPDATE tenantctl.gate SET admin_role = role;\n"
              "END\n"
              "$tenantctl$"});
  messages.push_back({.sql = "GRANT SELECT ON tenantctl.tenant, tenantctl.cluster_tenant TO " +
                             quote_identifier(role)});
  add_grants(messages, role);
}

void add_claim(std::vector<pq::Message>& messages, const std::string& role) {
  const std::string grantee = quote_identifier(role);
  messages.push_back({.sql = "GRANT USAGE ON SCHEMA tenantctl TO " + grantee});
  messages.push_back({.sql = "GRANT EXECUTE ON FUNCTION tenantctl.claim(text, text, text, text, "
                             "text, jsonb) TO " +
                             grantee});
}

[[noreturn]] void explain_gate(const pq::ServerError& error) {
  if (error.is(may_log_in)) {
    throw UsageError("the role to look across tenants may log in",
                     "Name a group: people are its members, so that each can be told apart.");
  }
  if (error.is(pq::undefined_object)) {
    throw UsageError(fmt::format("the gate was left as it is: {}", told(error.fields().message)),
                     "Make the role first, with CREATE ROLE.");
  }
  if (error.is(pq::insufficient_privilege)) {
    throw UsageError(fmt::format("the gate was left as it is: {}", told(error.fields().message)),
                     "Whoever may create roles makes the group; or run this as the owner of "
                     "schema tenantctl.");
  }
  throw error;
}

pq::Message read_roles(GateState& state) {
  return {.sql =
              "SELECT r.rolname, r.rolcanlogin, "
              "pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') AND "
              "pg_catalog.has_function_privilege(r.oid, 'tenantctl.enter(text, text)', "
              "'EXECUTE'), "
              "pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') AND "
              "pg_catalog.has_function_privilege(r.oid, "
              "'tenantctl.claim(text, text, text, text, text, jsonb)', 'EXECUTE'), "
              "CASE WHEN r.rolsuper THEN 'superuser' WHEN r.rolbypassrls THEN 'BYPASSRLS' "
              "WHEN pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER') THEN 'owner' "
              "WHEN a.oid = r.oid THEN 'admin role' "
              "WHEN pg_catalog.pg_has_role(r.oid, a.oid, 'MEMBER') THEN 'member' "
              "ELSE '' END AS across "
              "FROM pg_catalog.pg_namespace n CROSS JOIN pg_catalog.pg_roles r "
              "LEFT JOIN (tenantctl.gate g JOIN pg_catalog.pg_roles a "
              "ON a.rolname = g.admin_role::pg_catalog.name) ON true "
              "WHERE n.nspname = 'tenantctl' AND r.rolname !~ '^pg_' "
              "ORDER BY r.rolname COLLATE pg_catalog.\"C\"",
          .on_row = [&state](const pq::Row& row) {
            GateRole role{.name = std::string(row.text(0)),
                          .may_log_in = row.text(1) == "t",
                          .may_enter = row.text(2) == "t",
                          .may_claim = row.text(3) == "t",
                          .looks_across = std::string(row.text(4))};
            if (role.may_enter || role.may_claim || !role.looks_across.empty()) {
              state.roles.push_back(std::move(role));
            }
          }};
}

}  // namespace

std::string path_text(const std::vector<std::string>& schemas) {
  std::string text;
  for (const std::string& schema : schemas) {
    text += ", " + quote_identifier(schema);
  }
  return text + ", pg_temp";
}

bool asks_the_gate(pq::Pipeline& pipeline, const std::string& schema, pq::Deadline deadline) {
  bool asks = false;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql =
           "SELECT true FROM pg_catalog.pg_depend d "
           "JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid "
           "JOIN pg_catalog.pg_namespace g ON g.oid = f.pronamespace AND g.nspname = 'tenantctl' "
           "LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::regclass "
           "AND a.oid = d.objid "
           "LEFT JOIN pg_catalog.pg_policy p ON d.classid = 'pg_catalog.pg_policy'::regclass "
           "AND p.oid = d.objid "
           "JOIN pg_catalog.pg_class c ON c.oid = COALESCE(a.adrelid, p.polrelid) "
           "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
           "WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND n.nspname = $1 LIMIT 1",
       .values = {schema},
       .on_row = [&asks](const pq::Row& /*row*/) { asks = true; }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return asks;
}

Installed Gate::install(const GateOptions& options) {
  const Component& registry = registry_component();
  if (components_.version_of(registry) < registry.version()) {
    throw UsageError("the gate needs the registry of tenants",
                     "tenantctl registry init installs it.");
  }
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.gate SET version_table = $1, path_behind = $2",
                      .values = {options.version_table, path_text(options.path_behind)}});
  for (const std::string& role : options.runtime_roles) {
    add_grants(messages, role);
  }
  for (const std::string& role : options.claim_roles) {
    add_claim(messages, role);
  }
  if (options.admin_role) {
    add_admin_role(messages, *options.admin_role);
  }
  try {
    const Installed installed = components_.install(gate_component());
    components_.write(gate_component(), std::move(messages));
    return installed;
  } catch (const pq::ServerError& error) {
    explain_gate(error);
  }
}

std::optional<GateState> Gate::show() {
  GateState state;
  state.version = gate_component().version();
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT g.version_table, g.path_behind, COALESCE(g.admin_role, '') "
                             "FROM tenantctl.gate g",
                      .on_row = [&state](const pq::Row& row) {
                        state.version_table = row.text(0);
                        state.path_behind = row.text(1);
                        state.admin_role = row.text(2);
                      }});
  messages.push_back(read_roles(state));
  if (!components_.read(gate_component(), std::move(messages))) {
    return std::nullopt;
  }
  return state;
}

std::vector<pq::Message> Gate::claim_along(const NewTenant& tenant, const TenantTraits& traits,
                                           const std::string& minimum_revision,
                                           const std::vector<std::string>& roles, std::string& id) {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT tenantctl.claim($1, $2, $3, $4, $5, $6)",
       .values = {tenant.slug, tenant.name,
                  minimum_revision.empty() ? std::nullopt : std::optional(minimum_revision),
                  tenant.schema, traits.tier, traits.metadata},
       .on_row = [&id](const pq::Row& row) { id = row.text(0); }});
  messages.push_back(
      {.sql = fmt::format("SELECT (CASE WHEN COALESCE(t.runtime_role, '') = ANY "
                          "($2::pg_catalog.text[]) THEN '0' ELSE '{}' END)::pg_catalog.int4 "
                          "FROM tenantctl.tenant t WHERE t.slug = $1",
                          other_role),
       .values = {tenant.slug, array_of(roles)}});
  return components_.checked(gate_component(), std::move(messages));
}

void Gate::explain_claim(const pq::ServerError& error, const NewTenant& tenant) {
  constexpr std::string_view empty_pool = "TG007";
  constexpr std::string_view unique = "23505";
  constexpr std::string_view duplicate_schema = "42P06";
  constexpr std::string_view check = "23514";
  constexpr std::string_view bad_text = "22P02";
  if (error.is(empty_pool) ||
      (error.is(bad_text) && error.fields().message.find(other_role) != std::string::npos)) {
    return;
  }
  if (error.is(unique) || error.is(duplicate_schema)) {
    throw UsageError(
        fmt::format("a tenant {}, or schema {}, is there already", tenant.slug, tenant.schema),
        "tenantctl tenant list shows all. Nothing was made.");
  }
  if (error.is(bad_text) || error.is(check)) {
    throw UsageError("the metadata is no JSON object", "Write --metadata '{\"plan\": \"pro\"}'.");
  }
  Components::explain(error, gate_component());
}

bool Gate::claim(const NewTenant& tenant, const TenantTraits& traits,
                 const std::string& minimum_revision, const std::vector<std::string>& roles) {
  std::string id;
  try {
    components_.run(claim_along(tenant, traits, minimum_revision, roles, id));
  } catch (const pq::ServerError& error) {
    explain_claim(error, tenant);
    return false;
  }
  return true;
}

}  // namespace tenantctl
