#include "tenant/joined_clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "tenant/registry_component.h"

namespace tenantctl {
namespace {

// The tenants in parameters $2 and on, as rows of tenantctl.cluster_tenant.
constexpr std::string_view wanted =
    "wanted AS (SELECT w.id::pg_catalog.uuid AS id, w.slug, w.name, w.tier, w.isolation, "
    "NULLIF(w.schema, '') AS schema_name, NULLIF(w.database, '') AS database_name, "
    "$1::pg_catalog.text AS cluster, w.state, NULLIF(w.role, '') AS runtime_role, "
    "w.metadata::pg_catalog.jsonb AS metadata, w.since::pg_catalog.timestamptz AS state_since, "
    "w.created::pg_catalog.timestamptz AS created_at FROM ROWS FROM ("
    "pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[]), "
    "pg_catalog.unnest($4::pg_catalog.text[]), pg_catalog.unnest($5::pg_catalog.text[]), "
    "pg_catalog.unnest($6::pg_catalog.text[]), pg_catalog.unnest($7::pg_catalog.text[]), "
    "pg_catalog.unnest($8::pg_catalog.text[]), pg_catalog.unnest($9::pg_catalog.text[]), "
    "pg_catalog.unnest($10::pg_catalog.text[]), pg_catalog.unnest($11::pg_catalog.text[]), "
    "pg_catalog.unnest($12::pg_catalog.text[]), pg_catalog.unnest($13::pg_catalog.text[])) "
    "AS w (id, slug, name, tier, isolation, schema, database, state, role, metadata, since, "
    "created))";

constexpr std::string_view columns =
    "id, slug, name, tier, isolation, schema_name, database_name, cluster, state, runtime_role, "
    "metadata, state_since, created_at";

std::vector<std::optional<std::string>> values_of(const std::string& cluster,
                                                  const std::vector<RegisteredTenant>& tenants) {
  std::vector<std::optional<std::string>> values{cluster};
  for (const auto member :
       {&RegisteredTenant::id, &RegisteredTenant::slug, &RegisteredTenant::name,
        &RegisteredTenant::tier, &RegisteredTenant::isolation, &RegisteredTenant::schema,
        &RegisteredTenant::database, &RegisteredTenant::state, &RegisteredTenant::runtime_role,
        &RegisteredTenant::metadata, &RegisteredTenant::state_since,
        &RegisteredTenant::created_at}) {
    std::vector<std::string> column;
    for (const RegisteredTenant& tenant : tenants) {
      column.push_back(tenant.*member);
    }
    values.emplace_back(array_of(column));
  }
  return values;
}

}  // namespace

pq::Message JoinedClusters::read(std::vector<JoinedCluster>& clusters) {
  return {
      .sql =
          "SELECT c.name, c.token FROM tenantctl.cluster c "
          "ORDER BY c.name COLLATE pg_catalog.\"C\"",
      .on_row = [&clusters](const pq::Row& row) {
        clusters.push_back({.name = std::string(row.text(0)), .token = std::string(row.text(1))});
      }};
}

std::vector<JoinedCluster> JoinedClusters::all() {
  std::vector<JoinedCluster> clusters;
  std::vector<pq::Message> messages;
  messages.push_back(read(clusters));
  components_.read(registry_component(), std::move(messages));
  return clusters;
}

JoinedCluster JoinedClusters::join(const std::string& cluster) {
  JoinedCluster joined{.name = cluster, .token = {}};
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "LOCK TABLE tenantctl.tenant IN SHARE ROW EXCLUSIVE MODE"});
  messages.push_back({.sql =
                          "INSERT INTO tenantctl.cluster AS c (name) SELECT $1 WHERE NOT EXISTS "
                          "(SELECT FROM tenantctl.tenant t WHERE t.cluster = $1) "
                          "ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING c.token",
                      .values = {cluster},
                      .on_row = [&joined](const pq::Row& row) { joined.token = row.text(0); }});
  components_.write(registry_component(), std::move(messages));
  if (joined.token.empty()) {
    throw UsageError(
        fmt::format("this registry has tenants on cluster {} itself", escaped_name(cluster)),
        "A tenant is in one registry: move or drop those first; tenantctl tenant list shows all.");
  }
  return joined;
}

void JoinedClusters::leave(const std::string& cluster) {
  bool has_left = false;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "DELETE FROM tenantctl.cluster c WHERE c.name = $1 RETURNING true",
                      .values = {cluster},
                      .on_row = [&has_left](const pq::Row& /*row*/) { has_left = true; }});
  components_.write(registry_component(), std::move(messages));
  if (!has_left) {
    throw UsageError(fmt::format("cluster {} has not joined the registry", escaped_name(cluster)),
                     "tenantctl registry sync names those that have.");
  }
}

bool JoinedClusters::is_here(const JoinedCluster& cluster) {
  bool is_here = false;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT EXISTS (SELECT FROM tenantctl.cluster c WHERE c.token = $1)",
                      .values = {cluster.token},
                      .on_row = [&is_here](const pq::Row& row) { is_here = row.text(0) == "t"; }});
  components_.read(registry_component(), std::move(messages));
  return is_here;
}

std::vector<RegisteredTenant> JoinedClusters::tenants() {
  std::vector<RegisteredTenant> tenants;
  std::vector<pq::Message> messages;
  messages.push_back(read_tenants("cluster_tenant", "", {}, tenants));
  components_.read(registry_component(), std::move(messages));
  return tenants;
}

pq::Message JoinedClusters::find(const std::vector<std::string>& names,
                                 std::vector<RegisteredTenant>& tenants) {
  return read_tenants(
      "cluster_tenant",
      "WHERE t.slug = ANY ($1::pg_catalog.text[]) OR t.isolation <> 'rows' AND t.cluster || ':' || "
      "COALESCE(t.database_name, '') || '/' || t.schema_name = ANY ($1::pg_catalog.text[])",
      {array_of(names)}, tenants);
}

JoinedClusters::Synced JoinedClusters::sync(const std::string& cluster,
                                            const std::vector<RegisteredTenant>& tenants) {
  Synced synced;
  const auto note = [](std::vector<std::string>& slugs) {
    return [&slugs](const pq::Row& row) { slugs.emplace_back(row.text(0)); };
  };
  const std::vector<std::optional<std::string>> values = values_of(cluster, tenants);
  std::vector<pq::Message> messages;
  // Who registers a tenant here meanwhile waits, and finds the slug taken.
  messages.push_back({.sql = "LOCK TABLE tenantctl.tenant IN SHARE ROW EXCLUSIVE MODE"});
  messages.push_back({.sql = "SELECT (CASE WHEN EXISTS (SELECT FROM tenantctl.cluster c "
                             "WHERE c.name = $1 FOR UPDATE) THEN '0' ELSE 'has not joined' END)"
                             "::pg_catalog.int4",
                      .values = {cluster}});
  messages.push_back(
      {.sql = fmt::format("WITH {} DELETE FROM tenantctl.cluster_tenant t "
                          "WHERE t.cluster = $1 AND NOT EXISTS (SELECT FROM wanted "
                          "w WHERE w.id = t.id AND (w.*) IS NOT DISTINCT FROM (t.*)) "
                          "RETURNING t.slug",
                          wanted),
       .values = values,
       .on_row = note(synced.removed)});
  messages.push_back(
      {.sql =
           fmt::format("WITH {} INSERT INTO tenantctl.cluster_tenant ({}) SELECT w.* FROM wanted w "
                       "WHERE NOT EXISTS (SELECT FROM tenantctl.tenant t WHERE t.id = w.id) "
                       "AND NOT EXISTS (SELECT FROM tenantctl.tenant t WHERE t.slug = w.slug) "
                       "ON CONFLICT DO NOTHING RETURNING slug",
                       wanted, columns),
       .values = values,
       .on_row = note(synced.added)});
  messages.push_back({.sql = fmt::format("WITH {} SELECT w.slug FROM wanted w WHERE NOT EXISTS "
                                         "(SELECT FROM tenantctl.cluster_tenant t "
                                         "WHERE t.id = w.id AND t.cluster = $1) "
                                         "ORDER BY w.slug COLLATE pg_catalog.\"C\"",
                                         wanted),
                      .values = values,
                      .on_row = note(synced.refused)});
  messages.push_back({.sql = "UPDATE tenantctl.cluster SET synced_at = "
                             "pg_catalog.clock_timestamp() WHERE name = $1",
                      .values = {cluster}});
  try {
    components_.write(registry_component(), std::move(messages));
  } catch (const pq::ServerError& error) {
    constexpr std::string_view bad_text = "22P02";
    if (error.is(bad_text) && error.fields().message.find("has not joined") != std::string::npos) {
      throw UsageError(fmt::format("cluster {} has not joined the registry", escaped_name(cluster)),
                       fmt::format("tenantctl registry join {} has it do so.", cluster));
    }
    throw;
  }
  std::ranges::sort(synced.added);
  std::ranges::sort(synced.removed);
  return synced;
}

}  // namespace tenantctl
