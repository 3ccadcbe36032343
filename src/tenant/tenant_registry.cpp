#include "tenant/tenant_registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "pq/transaction.h"
#include "tenant/dropped_tenants.h"
#include "tenant/registry_component.h"
#include "tenant/tenant_lock.h"
#include "tenant/tenant_rows.h"

namespace tenantctl {
namespace {

// Fails the transaction, by a cast, unless every tenant is this run's.
pq::Message refuse_fewer(const std::string& run_id, std::size_t count) {
  return {.sql =
              "SELECT (CASE WHEN c.found >= $2::pg_catalog.int8 THEN '0' ELSE 'taken' END)"
              "::pg_catalog.int4 FROM (SELECT pg_catalog.count(*) AS found "
              "FROM tenantctl.tenant t WHERE t.state = 'provisioning' "
              "AND t.metadata #>> '{tenantctl,run}' = $1) c",
          .values = {run_id, fmt::to_string(count)}};
}

// The registry's own trigger tells where the tenant is who has the slug.
void explain_elsewhere(const pq::ServerError& error) {
  if (error.fields().constraint == "tenant_slug_elsewhere") {
    throw UsageError(error.fields().message,
                     "A slug is one tenant's wherever he lives. Nothing was changed.");
  }
}

[[noreturn]] void explain_refusal(const pq::ServerError& error) {
  constexpr std::string_view unique = "23505";
  constexpr std::string_view bad_text = "22P02";
  explain_elsewhere(error);
  if (error.is(unique) ||
      (error.is(bad_text) && error.fields().message.find("\"taken\"") != std::string::npos)) {
    throw UsageError("a tenant of that name, or with that schema, is registered already",
                     "tenantctl tenant list shows all. Nothing was made.");
  }
  if (error.is(bad_text) || error.fields().constraint == "tenant_metadata_check") {
    throw UsageError("the metadata is no JSON object", "Write --metadata '{\"plan\": \"pro\"}'.");
  }
  throw error;
}

}  // namespace

bool TenantRegistry::is_slug(std::string_view text) {
  constexpr std::size_t most = 63;
  return !text.empty() && text.size() <= most && text.front() >= 'a' && text.front() <= 'z' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

Installed TenantRegistry::install() { return components_.install(registry_component()); }

bool TenantRegistry::is_installed() { return components_.version_of(registry_component()) > 0; }

std::vector<std::string> TenantRegistry::adopt(std::vector<std::string> schemas) {
  if (reserve_) {
    const auto taken = reserve_(schemas);
    std::erase_if(schemas, [&taken](const std::string& name) { return taken.contains(name); });
  }
  std::vector<std::string> adopted;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
              "SELECT w.name, w.name, 'schema', w.name, 'ready' "
              "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS w (name) "
              "WHERE NOT EXISTS (SELECT FROM tenantctl.tenant t WHERE t.isolation = 'schema' "
              "AND t.schema_name = w.name AND t.database_name IS NULL AND t.cluster IS NULL) "
              "AND NOT EXISTS (SELECT FROM tenantctl.place p WHERE p.schema_name = w.name) "
              "AND NOT EXISTS (SELECT FROM tenantctl.cluster_tenant c WHERE c.slug = w.name) "
              "ON CONFLICT DO NOTHING RETURNING schema_name",
       .values = {array_of(schemas)},
       .on_row = [&adopted](const pq::Row& row) { adopted.emplace_back(row.text(0)); }});
  components_.write(registry_component(), std::move(messages));
  std::sort(adopted.begin(), adopted.end());
  return adopted;
}

void TenantRegistry::provision(const std::vector<NewTenant>& tenants, const TenantTraits& traits,
                               const std::string& run_id, bool locks) {
  std::vector<std::string> slugs;
  std::vector<std::string> names;
  std::vector<std::string> schemas;
  std::vector<std::string> roles;
  std::vector<std::string> databases;
  std::vector<std::string> clusters;
  for (const NewTenant& tenant : tenants) {
    slugs.push_back(tenant.slug);
    names.push_back(tenant.name);
    schemas.push_back(tenant.schema);
    roles.push_back(tenant.runtime_role);
    databases.push_back(tenant.database);
    clusters.push_back(tenant.cluster);
  }
  reserve(slugs);
  std::vector<pq::Message> messages;
  if (locks) {
    messages.push_back(
        {.sql = fmt::format("SELECT pg_catalog.pg_advisory_lock_shared({}, ('x' || "
                            "pg_catalog.substr($1, 1, 8))::pg_catalog.bit(32)::pg_catalog.int4)",
                            run_lock_class),
         .values = {run_id}});
  }
  messages.push_back(
      {.sql = fmt::format(
           "INSERT INTO tenantctl.tenant AS t (slug, name, tier, isolation, schema_name, "
           "database_name, cluster, state, runtime_role, metadata) SELECT w.slug, w.name, "
           "$4::pg_catalog.text, CASE w.database WHEN '' THEN 'schema' ELSE 'database' END, "
           "w.schema, NULLIF(w.database, ''), NULLIF(w.cluster, ''), 'provisioning', "
           "NULLIF(w.role, ''), "
           "CASE WHEN pg_catalog.jsonb_typeof($5::pg_catalog.jsonb) = 'object' THEN "
           "$5::pg_catalog.jsonb || pg_catalog.jsonb_build_object('tenantctl', "
           "pg_catalog.jsonb_build_object('run', $6::pg_catalog.text)) "
           "ELSE $5::pg_catalog.jsonb END "
           "FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), "
           "pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[]), "
           "pg_catalog.unnest($7::pg_catalog.text[]), pg_catalog.unnest($8::pg_catalog.text[]), "
           "pg_catalog.unnest($9::pg_catalog.text[])) "
           "AS w (slug, name, schema, role, database, cluster) WHERE w.database <> '' OR NOT "
           "EXISTS (SELECT FROM tenantctl.place p "
           "WHERE p.schema_name = w.schema) ON CONFLICT (slug) DO UPDATE "
           "SET name = EXCLUDED.name, tier = EXCLUDED.tier, metadata = EXCLUDED.metadata, "
           "runtime_role = EXCLUDED.runtime_role "
           "WHERE t.state = 'provisioning' AND t.isolation = EXCLUDED.isolation "
           "AND t.schema_name = EXCLUDED.schema_name "
           "AND t.database_name IS NOT DISTINCT FROM EXCLUDED.database_name "
           "AND t.cluster IS NOT DISTINCT FROM EXCLUDED.cluster AND NOT {}",
           is_being_made()),
       .values = {array_of(slugs), array_of(names), array_of(schemas), traits.tier, traits.metadata,
                  run_id, array_of(roles), array_of(databases), array_of(clusters)}});
  messages.push_back(refuse_fewer(run_id, tenants.size()));
  try {
    components_.write(registry_component(), std::move(messages));
  } catch (const pq::ServerError& error) {
    explain_refusal(error);
  }
}

std::vector<pq::Message> TenantRegistry::settle_along(const std::vector<NewTenant>& tenants,
                                                      const TenantTraits& traits,
                                                      const std::string& home, Settled& settled) {
  std::vector<std::string> slugs;
  std::vector<std::string> names;
  for (const NewTenant& tenant : tenants) {
    slugs.push_back(tenant.slug);
    names.push_back(tenant.name);
  }
  reserve(slugs);
  std::vector<pq::Message> messages;
  messages.push_back(
      // The home stays one until this is committed.
      {.sql = "WITH home AS (SELECT p.schema_name AS name FROM tenantctl.place p "
              "WHERE p.purpose = 'rows' AND p.state = 'ready' AND $5::pg_catalog.text IN ('', "
              "p.schema_name) AND EXISTS (SELECT FROM pg_catalog.pg_namespace n "
              "WHERE n.nspname = p.schema_name::pg_catalog.name) AND ($5::pg_catalog.text <> '' "
              "OR 1 = (SELECT pg_catalog.count(*) FROM tenantctl.place q "
              "WHERE q.purpose = 'rows')) FOR SHARE OF p) "
              "INSERT INTO tenantctl.tenant (slug, name, tier, isolation, schema_name, state, "
              "metadata, runtime_role) SELECT w.slug, w.name, $3::pg_catalog.text, 'rows', h.name, "
              "'ready', $4::pg_catalog.jsonb, NULLIF($6::pg_catalog.text, '') "
              "FROM home h CROSS JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), "
              "pg_catalog.unnest($2::pg_catalog.text[])) AS w (slug, name) "
              "RETURNING schema_name, slug, id",
       .values = {array_of(slugs), array_of(names), traits.tier, traits.metadata, home,
                  traits.runtime_role},
       .on_row = [&settled](const pq::Row& row) {
         settled.home = row.text(0);
         settled.ids.emplace_back(row.text(1), row.text(2));
       }});
  return components_.checked(registry_component(), std::move(messages));
}

void TenantRegistry::explain_settling(const pq::ServerError& error) {
  try {
    Components::explain(error, registry_component());
  } catch (const pq::ServerError& unexplained) {
    explain_refusal(unexplained);
  }
}

std::optional<std::string> TenantRegistry::settle(const std::vector<NewTenant>& tenants,
                                                  const TenantTraits& traits,
                                                  const std::string& home) {
  Settled settled;
  try {
    components_.run(settle_along(tenants, traits, home, settled));
  } catch (const pq::ServerError& error) {
    explain_settling(error);
  }
  return settled.home.empty() ? std::nullopt : std::optional(settled.home);
}

void TenantRegistry::finish(const std::vector<std::string>& slugs, const std::string& run_id) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.tenant SET state = 'ready', "
                             "metadata = metadata - 'tenantctl' "
                             "WHERE slug = ANY ($1::pg_catalog.text[]) AND state = 'provisioning' "
                             "AND metadata #>> '{tenantctl,run}' = $2",
                      .values = {array_of(slugs), run_id}});
  components_.write(registry_component(), std::move(messages));
}

void TenantRegistry::forget(const std::vector<std::string>& slugs, const std::string& run_id) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "DELETE FROM tenantctl.tenant "
                             "WHERE slug = ANY ($1::pg_catalog.text[]) AND state = 'provisioning' "
                             "AND metadata #>> '{tenantctl,run}' = $2",
                      .values = {array_of(slugs), run_id}});
  components_.write(registry_component(), std::move(messages));
}

namespace {

constexpr std::string_view has_changed = "tenant-has-changed";

// A purge that goes on finds the state that it has set itself.
enum class Hold { as_seen, or_deleting };

// The lock first: its holder may be about to change the row.
std::vector<pq::Message> hold_tenant(const RegisteredTenant& seen, Hold how) {
  std::vector<pq::Message> messages;
  messages.push_back(TenantLock::hold(seen.id));
  messages.push_back(
      {.sql = fmt::format(
           "WITH held AS MATERIALIZED (SELECT t.slug, t.state, t.isolation, t.schema_name, "
           "t.database_name, t.cluster FROM tenantctl.tenant t WHERE t.id = $1 FOR UPDATE) "
           "SELECT (CASE WHEN EXISTS (SELECT FROM held h WHERE h.slug = $2 AND h.state IN ($3{}) "
           "AND h.isolation = $4 AND COALESCE(h.schema_name, '') = $5 "
           "AND COALESCE(h.database_name, '') = $6 AND COALESCE(h.cluster, '') = $7) "
           "THEN '0' ELSE '{}' END)::pg_catalog.int4",
           how == Hold::or_deleting ? ", 'deleting'" : "", has_changed),
       .values = {seen.id, seen.slug, seen.state, seen.isolation, seen.schema, seen.database,
                  seen.cluster}});
  return messages;
}

std::vector<pq::Message> hold_tenant(const std::optional<RegisteredTenant>& seen, Hold how) {
  return seen ? hold_tenant(*seen, how) : std::vector<pq::Message>{};
}

pq::Message close_for_good(const RegisteredTenant& seen) {
  return {.sql =
              "UPDATE tenantctl.tenant SET state = 'deleting', metadata = metadata - "
              "'tenantctl' WHERE id = $1",
          .values = {seen.id}};
}

}  // namespace

void TenantRegistry::write_held(std::vector<pq::Message> messages) {
  try {
    components_.write(registry_component(), std::move(messages));
  } catch (const pq::ServerError& error) {
    explain(error);
  }
}

void TenantRegistry::remove(const RegisteredTenant& seen) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::or_deleting);
  messages.push_back({.sql = "DELETE FROM tenantctl.tenant WHERE id = $1", .values = {seen.id}});
  write_held(std::move(messages));
}

void TenantRegistry::begin_purge(const RegisteredTenant& seen) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::or_deleting);
  messages.push_back(close_for_good(seen));
  write_held(std::move(messages));
}

std::vector<std::string> TenantRegistry::change_state(const std::vector<std::string>& slugs,
                                                      const std::vector<std::string>& from,
                                                      const std::string& to,
                                                      const std::string& reason) {
  std::vector<std::string> changed;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "UPDATE tenantctl.tenant SET state = $3::pg_catalog.text, metadata = CASE WHEN "
              "$4::pg_catalog.text = '' "
              "THEN metadata - 'tenantctl' ELSE metadata || pg_catalog.jsonb_build_object("
              "'tenantctl', pg_catalog.jsonb_build_object('reason', $4::pg_catalog.text)) END "
              "WHERE slug = ANY ($1::pg_catalog.text[]) AND state = ANY ($2::pg_catalog.text[]) "
              "RETURNING slug",
       .values = {array_of(slugs), array_of(from), to, reason},
       .on_row = [&changed](const pq::Row& row) { changed.emplace_back(row.text(0)); }});
  components_.write(registry_component(), std::move(messages));
  std::sort(changed.begin(), changed.end());
  return changed;
}

void TenantRegistry::rename(const RegisteredTenant& seen, const std::string& to,
                            const std::string& database) {
  reserve({to});
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::as_seen);
  messages.push_back(
      {.sql = "UPDATE tenantctl.tenant t SET slug = $2::pg_catalog.text, "
              "name = CASE WHEN t.name = t.slug THEN $2::pg_catalog.text ELSE t.name END, "
              "database_name = COALESCE(NULLIF($3::pg_catalog.text, ''), t.database_name), "
              "metadata = CASE WHEN (t.metadata -> 'tenantctl') - 'renaming' = '{}' "
              "THEN t.metadata - 'tenantctl' ELSE t.metadata #- '{tenantctl,renaming}' END "
              "WHERE t.id = $1",
       .values = {seen.id, to, database}});
  write_held(std::move(messages));
}

void TenantRegistry::begin_renaming(const RegisteredTenant& seen, const std::string& database) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::as_seen);
  messages.push_back(
      {.sql = "UPDATE tenantctl.tenant t SET metadata = t.metadata || "
              "pg_catalog.jsonb_build_object('tenantctl', COALESCE(t.metadata -> 'tenantctl', "
              "'{}') || pg_catalog.jsonb_build_object('renaming', $2::pg_catalog.text)) "
              "WHERE t.id = $1",
       .values = {seen.id, database}});
  write_held(std::move(messages));
}

void TenantRegistry::check_free(const std::string& slug) {
  if (!select("WHERE t.slug = $1", {slug}).empty()) {
    throw UsageError(fmt::format("a tenant {} is registered already", slug),
                     "tenantctl tenant list shows all. Nothing was changed.");
  }
}

namespace {

// Over tenantctl.tenant t: whoever lives in the schema $1 of this database.
constexpr std::string_view lives_there =
    "t.isolation = 'schema' AND t.schema_name = $1 AND t.database_name IS NULL "
    "AND t.cluster IS NULL";

constexpr std::string_view deleting_remembers =
    "state = 'deleting', metadata = t.metadata || pg_catalog.jsonb_build_object('tenantctl', "
    "COALESCE(t.metadata -> 'tenantctl', '{}') || "
    "pg_catalog.jsonb_build_object('before', t.state))";

constexpr std::string_view as_before =
    "state = t.metadata #>> '{tenantctl,before}', "
    "metadata = CASE WHEN (t.metadata -> 'tenantctl') - 'before' = '{}' "
    "THEN t.metadata - 'tenantctl' ELSE t.metadata #- '{tenantctl,before}' END";

constexpr std::string_view is_kept_there =
    "t.state = 'deleting' AND t.metadata #>> '{tenantctl,before}' IS NOT NULL";

}  // namespace

void TenantRegistry::put_aside(const RegisteredTenant& seen) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::as_seen);
  messages.push_back({.sql = fmt::format("UPDATE tenantctl.tenant t SET {} WHERE t.id = $1 "
                                         "AND t.state <> 'deleting'",
                                         deleting_remembers),
                      .values = {seen.id}});
  write_held(std::move(messages));
}

void TenantRegistry::bring_back(const std::string& slug) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = fmt::format("UPDATE tenantctl.tenant t SET {} WHERE t.slug = $1 "
                                         "AND {}",
                                         as_before, is_kept_there),
                      .values = {slug}});
  components_.write(registry_component(), std::move(messages));
}

std::vector<pq::Message> TenantRegistry::rename_along(const std::optional<RegisteredTenant>& seen,
                                                      const std::string& from,
                                                      const std::string& to,
                                                      const std::string& slug) {
  if (!slug.empty())
    reserve({slug});
  else if (seen && seen->slug == from)
    reserve({to});
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::as_seen);
  messages.push_back(
      {.sql = fmt::format(
           "UPDATE tenantctl.tenant t SET schema_name = $2::pg_catalog.text, slug = CASE "
           "WHEN $3::pg_catalog.text <> '' THEN $3::pg_catalog.text "
           "WHEN t.slug = $1 THEN $2::pg_catalog.text ELSE t.slug END, "
           "name = CASE WHEN t.name = $1 THEN $2::pg_catalog.text ELSE t.name END WHERE {}",
           lives_there),
       .values = {from, to, slug}});
  return components_.checked(registry_component(), std::move(messages));
}

std::vector<pq::Message> TenantRegistry::delete_along(const std::optional<RegisteredTenant>& seen,
                                                      const std::string& schema) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::as_seen);
  messages.push_back(
      {.sql = fmt::format("UPDATE tenantctl.tenant t SET schema_name = {}, {} "
                          "WHERE {} AND t.state <> 'deleting'",
                          DroppedTenants::name_expression, deleting_remembers, lives_there),
       .values = {schema}});
  return components_.checked(registry_component(), std::move(messages));
}

std::vector<pq::Message> TenantRegistry::undelete_along(const std::string& dropped,
                                                        const std::string& to) {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("UPDATE tenantctl.tenant t SET schema_name = $2::pg_catalog.text, {} "
                          "WHERE {} AND {}",
                          as_before, lives_there, is_kept_there),
       .values = {dropped, to}});
  return components_.checked(registry_component(), std::move(messages));
}

std::vector<pq::Message> TenantRegistry::begin_purge_along(
    const std::optional<RegisteredTenant>& seen) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::or_deleting);
  if (seen) {
    messages.push_back(close_for_good(*seen));
  }
  return components_.checked(registry_component(), std::move(messages));
}

std::vector<pq::Message> TenantRegistry::remove_along(const std::optional<RegisteredTenant>& seen,
                                                      const std::string& schema) {
  std::vector<pq::Message> messages = hold_tenant(seen, Hold::or_deleting);
  messages.push_back({.sql = fmt::format("DELETE FROM tenantctl.tenant t WHERE {}", lives_there),
                      .values = {schema}});
  return components_.checked(registry_component(), std::move(messages));
}

void TenantRegistry::explain(const pq::ServerError& error) {
  constexpr std::string_view unique = "23505";
  constexpr std::string_view bad_text = "22P02";
  explain_elsewhere(error);
  if (TenantLock::is_refusal(error.fields())) {
    throw UnavailableError("another run is moving, renaming or dropping the tenant",
                           "Wait until it ends. Nothing was changed.");
  }
  if (error.is(bad_text) && error.fields().message.find(has_changed) != std::string::npos) {
    throw Error("the tenant was changed by somebody else meanwhile",
                "tenantctl tenant show NAME tells what it is now. Nothing was changed.");
  }
  if (error.is(unique) && error.fields().constraint.starts_with("tenant_")) {
    throw UsageError("a tenant of that name, or with that schema, is registered already",
                     "tenantctl tenant list shows all. Nothing was changed.");
  }
  Components::explain(error, registry_component());
}

std::vector<RegisteredTenant> TenantRegistry::select(
    const std::string& condition, std::vector<std::optional<std::string>> values) {
  std::vector<RegisteredTenant> tenants;
  std::vector<pq::Message> messages;
  messages.push_back(read_tenants("tenant", condition, std::move(values), tenants));
  components_.read(registry_component(), std::move(messages));
  return tenants;
}

std::vector<RegisteredTenant> TenantRegistry::all() { return select("", {}); }

namespace {

constexpr std::string_view is_called =
    "WHERE t.slug = ANY ($1::pg_catalog.text[]) OR t.isolation = 'schema' "
    "AND t.database_name IS NULL AND t.cluster IS NULL "
    "AND t.schema_name = ANY ($1::pg_catalog.text[]) "
    "OR (t.database_name IS NOT NULL OR t.cluster IS NOT NULL) AND COALESCE(t.cluster || ':', "
    "'') "
    "|| COALESCE(t.database_name, '') || '/' || t.schema_name = ANY ($1::pg_catalog.text[])";

}  // namespace

std::vector<RegisteredTenant> TenantRegistry::find(const std::vector<std::string>& names) {
  return select(std::string(is_called), {array_of(names)});
}

std::vector<RegisteredTenant> TenantRegistry::find_own(const std::vector<std::string>& names) {
  std::vector<RegisteredTenant> own;
  std::vector<RegisteredTenant> joined;
  std::vector<pq::Message> messages;
  messages.push_back(read_tenants("tenant", std::string(is_called), {array_of(names)}, own));
  messages.push_back(JoinedClusters::find(names, joined));
  components_.read(registry_component(), std::move(messages));
  if (!joined.empty()) {
    const RegisteredTenant& one = joined.front();
    throw UsageError(
        fmt::format("tenant {} lives on cluster {}, whose own registry knows it", one.slug,
                    one.cluster),
        fmt::format("Give the command to that cluster, with --cluster {} and the tenant's slug.",
                    one.cluster));
  }
  return own;
}

void TenantRegistry::reserve(const std::vector<std::string>& slugs) const {
  if (!reserve_)
    return;
  const auto taken = reserve_(slugs);
  if (!taken.empty()) {
    throw UsageError(fmt::format("tenant {} is registered already, {}", taken.begin()->first,
                                 taken.begin()->second),
                     "A slug is one tenant's wherever he lives. Nothing was changed.");
  }
}

std::vector<std::string> TenantRegistry::schemas_of_roles(const std::vector<std::string>& roles) {
  std::vector<std::string> schemas;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT t.schema_name FROM tenantctl.tenant t "
              "WHERE t.runtime_role = ANY ($1::pg_catalog.text[]) "
              "UNION ALL SELECT p.schema_name FROM tenantctl.place p "
              "WHERE p.runtime_role = ANY ($1::pg_catalog.text[])",
       .values = {array_of(roles)},
       .on_row = [&schemas](const pq::Row& row) { schemas.emplace_back(row.text(0)); }});
  components_.read(registry_component(), std::move(messages));
  return schemas;
}

std::set<std::string> TenantRegistry::shared_roles() {
  std::set<std::string> roles;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT w.role FROM (SELECT t.runtime_role FROM tenantctl.tenant t UNION ALL "
              "SELECT p.runtime_role FROM tenantctl.place p) AS w (role) "
              "WHERE w.role IS NOT NULL GROUP BY w.role HAVING pg_catalog.count(*) > 1",
       .on_row = [&roles](const pq::Row& row) { roles.emplace(row.text(0)); }});
  components_.read(registry_component(), std::move(messages));
  return roles;
}

std::vector<std::string> TenantRegistry::slugs_like(const std::string& like) {
  std::vector<std::string> slugs;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT t.slug FROM tenantctl.tenant t WHERE t.slug LIKE $1",
                      .values = {like},
                      .on_row = [&slugs](const pq::Row& row) { slugs.emplace_back(row.text(0)); }});
  components_.read(registry_component(), std::move(messages));
  return slugs;
}

Elsewhere TenantRegistry::elsewhere() {
  Elsewhere away;
  std::vector<pq::Message> messages;
  messages.push_back(read_tenants(
      "tenant", "WHERE t.database_name IS NOT NULL OR t.cluster IS NOT NULL", {}, away.tenants));
  messages.push_back(JoinedClusters::read(away.joined));
  components_.read(registry_component(), std::move(messages));
  std::ranges::sort(away.tenants, {}, &RegisteredTenant::place);
  return away;
}

std::vector<std::string> TenantRegistry::registered(const std::vector<std::string>& schemas) {
  std::vector<std::string> names;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT t.schema_name FROM tenantctl.tenant t WHERE t.isolation = 'schema' "
              "AND t.schema_name = ANY ($1::pg_catalog.text[]) AND t.database_name IS NULL "
              "AND t.cluster IS NULL ORDER BY t.schema_name COLLATE pg_catalog.\"C\"",
       .values = {array_of(schemas)},
       .on_row = [&names](const pq::Row& row) { names.emplace_back(row.text(0)); }});
  components_.read(registry_component(), std::move(messages));
  return names;
}

}  // namespace tenantctl
