#include "tenant/joined_clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "pq/transaction.h"
#include "tenant/registry_component.h"

namespace tenantctl {
namespace {

constexpr std::string_view bad_text = "22P02";

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

// Over tenantctl.cluster_tenant t: a slug that runs keep free, and no tenant yet; and whether they
// have done so for too long to live.
constexpr std::string_view is_reserved = "t.metadata #> '{tenantctl,reserved}' IS NOT NULL";
constexpr std::string_view is_expired =
    "t.state_since < pg_catalog.clock_timestamp() - '10 min'::pg_catalog.interval";

// Who registers a tenant here meanwhile waits, and finds the slug taken.
pq::Message lock_tenants() {
  return {.sql = "LOCK TABLE tenantctl.tenant IN SHARE ROW EXCLUSIVE MODE"};
}

pq::Message drop_expired() {
  return {.sql = fmt::format("DELETE FROM tenantctl.cluster_tenant t WHERE {} AND {}", is_reserved,
                             is_expired)};
}

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

void add_sync(std::vector<pq::Message>& messages, const std::string& cluster,
              const std::vector<RegisteredTenant>& tenants, const std::string& run,
              JoinedClusters::Synced& synced) {
  const auto note = [](std::vector<std::string>& slugs) {
    return [&slugs](const pq::Row& row) { slugs.emplace_back(row.text(0)); };
  };
  const std::vector<std::optional<std::string>> values = values_of(cluster, tenants);
  // The planner takes an array for a few rows.
  messages.push_back({.sql = "SELECT pg_catalog.set_config('enable_nestloop', 'off', true)"});
  messages.push_back(drop_expired());
  messages.push_back(
      {.sql = fmt::format(
           "UPDATE tenantctl.cluster_tenant t SET metadata = pg_catalog.jsonb_set(t.metadata, "
           "'{{tenantctl,reserved}}', (t.metadata #> '{{tenantctl,reserved}}') - "
           "$2::pg_catalog.text) WHERE t.cluster = $1 AND {}",
           is_reserved),
       .values = {cluster, run}});
  messages.push_back(
      {.sql = fmt::format("WITH {} DELETE FROM tenantctl.cluster_tenant t WHERE t.cluster = $1 AND "
                          "{} AND (t.metadata #> '{{tenantctl,reserved}}' = '[]' OR EXISTS "
                          "(SELECT FROM wanted w WHERE w.slug = t.slug))",
                          wanted, is_reserved),
       .values = values});
  messages.push_back(
      {.sql = fmt::format("WITH {} DELETE FROM tenantctl.cluster_tenant t WHERE t.cluster = $1 AND "
                          "NOT ({}) AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = t.id "
                          "AND (w.*) IS NOT DISTINCT FROM (t.*)) RETURNING t.slug",
                          wanted, is_reserved),
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
  messages.push_back(
      {.sql = fmt::format("WITH {} SELECT w.slug FROM wanted w WHERE NOT EXISTS "
                          "(SELECT FROM tenantctl.cluster_tenant t WHERE t.id = w.id "
                          "AND t.cluster = w.cluster) ORDER BY w.slug COLLATE pg_catalog.\"C\"",
                          wanted),
       .values = values,
       .on_row = note(synced.refused)});
  messages.push_back({.sql = "UPDATE tenantctl.cluster SET synced_at = "
                             "pg_catalog.clock_timestamp() WHERE name = $1",
                      .values = {cluster}});
}

void sort(JoinedClusters::Synced& synced) {
  std::ranges::sort(synced.added);
  std::ranges::sort(synced.removed);
}

// Fails the transaction, by a cast, with the word if the condition over $1, $2 and $3 holds.
pq::Message refuse_if(std::string_view condition, std::string_view word,
                      std::vector<std::optional<std::string>> values) {
  return {.sql = fmt::format("SELECT (CASE WHEN {} THEN '{}' ELSE '0' END)::pg_catalog.int4",
                             condition, word),
          .values = std::move(values)};
}

[[noreturn]] void explain_join(const pq::ServerError& error, const std::string& cluster) {
  const std::string& message = error.fields().message;
  const auto says = [&](std::string_view word) {
    return error.is(bad_text) && message.find(word) != std::string::npos;
  };
  const std::string hint =
      "Look at its connection string. A copy that is to be a registry of its own needs another id "
      "(UPDATE tenantctl.registry SET id = gen_random_uuid()) and none of the original's tenants.";
  if (says("same registry")) {
    throw UsageError(fmt::format("cluster {} is this very database, or a copy of it", cluster),
                     hint);
  }
  if (says("same tenant")) {
    throw UsageError(fmt::format("cluster {} has tenants that are this registry's: one is a copy "
                                 "of the other",
                                 cluster),
                     hint);
  }
  if (says("tenants there")) {
    throw UsageError(
        fmt::format("this registry has tenants on cluster {} itself", cluster),
        "A tenant is in one registry: move or drop those first; tenantctl tenant list shows all.");
  }
  if (error.is("23505")) {
    throw UsageError(
        fmt::format("the registry of cluster {} has joined under another name, or another registry "
                    "under its name",
                    cluster),
        "tenantctl registry sync names who has joined; registry leave parts from one.");
  }
  throw error;
}

}  // namespace

std::string JoinedClusters::own_id() {
  std::string id;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT r.id FROM tenantctl.registry r",
                      .on_row = [&id](const pq::Row& row) { id = row.text(0); }});
  components_.read(registry_component(), std::move(messages));
  return id;
}

pq::Message JoinedClusters::read(std::vector<JoinedCluster>& clusters) {
  return {.sql =
              "SELECT c.name, c.registry FROM tenantctl.cluster c "
              "ORDER BY c.name COLLATE pg_catalog.\"C\"",
          .on_row = [&clusters](const pq::Row& row) {
            clusters.push_back(
                {.name = std::string(row.text(0)), .registry = std::string(row.text(1))});
          }};
}

std::vector<JoinedCluster> JoinedClusters::all() {
  std::vector<JoinedCluster> clusters;
  std::vector<pq::Message> messages;
  messages.push_back(read(clusters));
  components_.read(registry_component(), std::move(messages));
  return clusters;
}

JoinedClusters::Synced JoinedClusters::join(const JoinedCluster& cluster,
                                            const std::vector<RegisteredTenant>& tenants) {
  Synced synced;
  std::vector<std::string> ids;
  for (const RegisteredTenant& tenant : tenants) {
    ids.push_back(tenant.id);
  }
  std::vector<pq::Message> messages;
  messages.push_back(lock_tenants());
  messages.push_back(
      refuse_if("EXISTS (SELECT FROM tenantctl.registry r WHERE r.id = $1::pg_catalog.uuid)",
                "same registry", {cluster.registry}));
  messages.push_back(refuse_if(
      "EXISTS (SELECT FROM tenantctl.tenant t WHERE t.id = ANY ($1::pg_catalog.uuid[])) OR EXISTS "
      "(SELECT FROM tenantctl.cluster_tenant t WHERE t.id = ANY ($1::pg_catalog.uuid[]) "
      "AND t.cluster <> $2)",
      "same tenant", {array_of(ids), cluster.name}));
  messages.push_back(refuse_if("EXISTS (SELECT FROM tenantctl.tenant t WHERE t.cluster = $1)",
                               "tenants there", {cluster.name}));
  messages.push_back({.sql = "INSERT INTO tenantctl.cluster (name, registry) SELECT $1, "
                             "$2::pg_catalog.uuid WHERE NOT EXISTS (SELECT FROM tenantctl.cluster "
                             "c WHERE c.name = $1 AND c.registry = $2::pg_catalog.uuid)",
                      .values = {cluster.name, cluster.registry}});
  add_sync(messages, cluster.name, tenants, "", synced);
  try {
    components_.write(registry_component(), std::move(messages));
  } catch (const pq::ServerError& error) {
    explain_join(error, escaped_name(cluster.name));
  }
  sort(synced);
  return synced;
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

JoinedClusters::Synced JoinedClusters::sync(
    const std::string& cluster, const std::string& run,
    const std::function<std::vector<RegisteredTenant>()>& read) {
  Synced synced;
  bool has_joined = false;
  try {
    pq::OpenTransaction transaction(pipeline_, patience_);
    std::vector<pq::Message> messages;
    messages.push_back(
        {.sql = "SELECT FROM tenantctl.cluster c WHERE c.name = $1 FOR NO KEY UPDATE",
         .values = {cluster},
         .on_row = [&has_joined](const pq::Row& /*row*/) { has_joined = true; }});
    transaction.run(components_.checked(registry_component(), std::move(messages)));
    if (!has_joined) {
      return synced;
    }
    const std::vector<RegisteredTenant> tenants = read();
    messages = {};
    messages.push_back(lock_tenants());
    add_sync(messages, cluster, tenants, run, synced);
    transaction.run(std::move(messages));
    transaction.commit();
  } catch (const pq::ServerError& error) {
    if (error.is("55P03")) {
      throw Error("another run reads or changes it", "Try again when that has ended.");
    }
    Components::explain(error, registry_component());
  }
  sort(synced);
  return synced;
}

std::map<std::string, std::string> JoinedClusters::reserve(const std::string& cluster,
                                                           const std::vector<std::string>& slugs,
                                                           const std::string& run) {
  std::map<std::string, std::string> taken;
  const std::string list = array_of(slugs);
  std::vector<pq::Message> messages;
  messages.push_back(lock_tenants());
  messages.push_back(drop_expired());
  messages.push_back(
      {.sql = fmt::format("SELECT t.slug, 'in the registry that the cluster has joined' "
                          "FROM tenantctl.tenant t WHERE t.slug = ANY ($1::pg_catalog.text[]) "
                          "UNION ALL SELECT t.slug, CASE WHEN {} THEN 'being made on cluster ' "
                          "ELSE 'on cluster ' END || t.cluster FROM tenantctl.cluster_tenant t "
                          "WHERE t.slug = ANY ($1::pg_catalog.text[]) AND t.cluster <> $2",
                          is_reserved),
       .values = {list, cluster},
       .on_row = [&taken](const pq::Row& row) { taken.emplace(row.text(0), row.text(1)); }});
  // Several runs may try the same on one cluster: its own registry decides between them.
  messages.push_back(
      {.sql = fmt::format(
           "INSERT INTO tenantctl.cluster_tenant AS t ({}) SELECT pg_catalog.gen_random_uuid(), "
           "s.slug, s.slug, 'standard', 'schema', NULL, NULL, $2, 'provisioning', NULL, "
           "pg_catalog.jsonb_build_object('tenantctl', pg_catalog.jsonb_build_object('reserved', "
           "pg_catalog.jsonb_build_array($3::pg_catalog.text))), pg_catalog.clock_timestamp(), "
           "pg_catalog.clock_timestamp() FROM pg_catalog.unnest($1::pg_catalog.text[]) AS s (slug) "
           "WHERE NOT EXISTS (SELECT FROM tenantctl.tenant t WHERE t.slug = s.slug) "
           "ON CONFLICT (slug) DO UPDATE SET state_since = EXCLUDED.state_since, metadata = "
           "pg_catalog.jsonb_set(t.metadata, '{{tenantctl,reserved}}', (t.metadata #> "
           "'{{tenantctl,reserved}}') || pg_catalog.to_jsonb($3::pg_catalog.text)) "
           "WHERE t.cluster = EXCLUDED.cluster AND {}",
           columns, is_reserved),
       .values = {list, cluster, run}});
  components_.write(registry_component(), std::move(messages));
  return taken;
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

}  // namespace tenantctl
