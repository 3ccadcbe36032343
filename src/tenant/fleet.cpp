#include "tenant/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

/// Folds rows (schema, has table, ours, comment) into a Fleet.
class FleetReader {
 public:
  void add(std::string_view schema, FoundSchema::State state, std::string_view comment) {
    fleet_.schemas.push_back(
        {.schema = std::string(schema), .comment = intern(comment), .state = state});
  }

  Fleet finish() {
    std::sort(fleet_.schemas.begin(), fleet_.schemas.end(),
              [](const FoundSchema& a, const FoundSchema& b) { return a.schema < b.schema; });
    return std::move(fleet_);
  }

  /// Whether there may be a registry travels with the fleet: without one nothing more is asked.
  pq::Message look_for_registry() {
    return {.sql =
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relname = 'tenant' AND n.nspname = 'tenantctl')",
            .on_row = [this](const pq::Row& row) { fleet_.has_registry = row.text(0) == "t"; }};
  }

 private:
  std::uint32_t intern(std::string_view comment) {
    const auto next = static_cast<std::uint32_t>(fleet_.comments.size());
    const auto [at, is_new] = indexes_.try_emplace(std::string(comment), next);
    if (is_new) {
      fleet_.comments.emplace_back(comment);
    }
    return at->second;
  }

  Fleet fleet_;
  std::unordered_map<std::string, std::uint32_t> indexes_;
};

// The version tables, with what decides about trust. Plain joins: correlated subqueries cost a
// multiple on 10,000 schemas.
std::string tables_query(const FleetQuery& query) {
  return fmt::format(
      "SELECT n.nspname, {} AS ours, d.description, n.oid AS namespace "
      "FROM pg_catalog.pg_class c "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 "
      "AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass "
      "WHERE c.relname = {} AND c.relkind NOT IN ('i', 'I', 't') "
      "AND n.nspname NOT ILIKE 'pg!_%' ESCAPE '!' "
      "AND n.nspname NOT ILIKE 'tenantctl!_dropped!_%' ESCAPE '!' "
      "AND n.nspname NOT IN ('information_schema', 'tenantctl')",
      ownership_condition(query.owners, Lookup::all), quote_literal(query.version_table));
}

FoundSchema::State state_of(const pq::Row& row) {
  if (row.is_null(1)) {
    return row.text(3) == "t" ? FoundSchema::State::bare : FoundSchema::State::missing;
  }
  return row.text(1) == "t" ? FoundSchema::State::ours : FoundSchema::State::foreign;
}

// Names looked up in the catalog: `wanted` is a query or a list of (name).
Fleet read_wanted(pq::Pipeline& pipeline, const FleetQuery& query, const std::string& wanted,
                  pq::Deadline deadline) {
  FleetReader reader;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql =
           fmt::format("SELECT w.name, t.ours, t.description, n.oid IS NOT NULL "
                       "FROM (SELECT DISTINCT wanted.name COLLATE pg_catalog.\"C\" AS name FROM "
                       "({}) wanted) w "
                       "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname::pg_catalog.text = w.name "
                       "LEFT JOIN ({}) t ON t.namespace = n.oid WHERE w.name IS NOT NULL",
                       wanted, tables_query(query)),
       .on_row = [&reader](const pq::Row& row) {
         reader.add(row.text(0), state_of(row), row.text(2));
       }});
  messages.push_back(reader.look_for_registry());
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return reader.finish();
}

// The application's own query, as the user wrote it: its first column, as text.
std::string tenants_subquery(const FleetQuery& query, const std::string& shared_schema) {
  std::string sql = query.tenants_query;
  while (!sql.empty() && (sql.back() == ';' || sql.back() == '\n' || sql.back() == ' ')) {
    sql.pop_back();
  }
  return fmt::format(
      "SELECT q.name::pg_catalog.text FROM ({}\n) AS q (name) UNION ALL SELECT {}::pg_catalog.text",
      sql, quote_literal(shared_schema));
}

}  // namespace

const FoundSchema* Fleet::find(std::string_view schema) const {
  const auto at =
      std::lower_bound(schemas.begin(), schemas.end(), schema,
                       [](const FoundSchema& a, std::string_view name) { return a.schema < name; });
  return at != schemas.end() && at->schema == schema ? &*at : nullptr;
}

Fleet Fleet::only(std::string_view schema) const {
  const FoundSchema* found = find(schema);
  Fleet alone;
  if (found == nullptr || found->site != 0) {
    return alone;
  }
  alone.schemas.push_back({.schema = found->schema, .comment = 0, .state = found->state});
  alone.comments.push_back(comment_of(*found));
  alone.has_registry = has_registry;
  return alone;
}

void Fleet::add_away(const Site& site, std::string_view schema, const std::string& slug) {
  const auto is_same = [&site](const Site& other) {
    return other.cluster == site.cluster && other.database == site.database;
  };
  if (sites.empty() || !is_same(sites.back())) {
    sites.push_back(site);
  }
  if (!slug.empty()) {
    const auto [at, is_new] = slugs.try_emplace(slug, site.name_of(schema));
    if (!is_new) {
      at->second.clear();
    }
  }
  if (comments.empty()) {
    comments.emplace_back();
  }
  schemas.push_back({.schema = site.name_of(schema),
                     .comment = 0,
                     .state = FoundSchema::State::away,
                     .site = static_cast<std::uint32_t>(sites.size())});
}

void Fleet::sort() {
  std::sort(schemas.begin(), schemas.end(),
            [](const FoundSchema& a, const FoundSchema& b) { return a.schema < b.schema; });
  const auto twice = std::adjacent_find(
      schemas.begin(), schemas.end(),
      [](const FoundSchema& a, const FoundSchema& b) { return a.schema == b.schema; });
  if (twice != schemas.end()) {
    throw UsageError(
        fmt::format("\"{}\" is a schema of this database and one of another: no command could "
                    "tell them apart",
                    twice->schema),
        "Rename the one here: its name has a slash in it.");
  }
}

void Fleet::remove(const Fleet& known) {
  std::erase_if(schemas,
                [&known](const FoundSchema& found) { return known.find(found.schema) != nullptr; });
}

void Fleet::add_names(const Fleet& more) {
  for (const FoundSchema& found : more.schemas) {
    schemas.push_back(
        {.schema = found.schema, .comment = 0, .state = found.state, .site = found.site});
  }
  std::sort(schemas.begin(), schemas.end(),
            [](const FoundSchema& a, const FoundSchema& b) { return a.schema < b.schema; });
}

Fleet read_fleet(pq::Pipeline& pipeline, const FleetQuery& query, const std::string& shared_schema,
                 pq::Deadline deadline) {
  if (!query.tenants_query.empty()) {
    try {
      return read_wanted(pipeline, query, tenants_subquery(query, shared_schema), deadline);
    } catch (const pq::ServerError& error) {
      throw UsageError(fmt::format("the tenants query failed: {}", error.what()),
                       "--tenants-query takes one SELECT whose only column is the schema's name.");
    }
  }
  FleetReader reader;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = tables_query(query), .on_row = [&reader](const pq::Row& row) {
                        const bool ours = row.text(1) == "t";
                        reader.add(row.text(0),
                                   ours ? FoundSchema::State::ours : FoundSchema::State::foreign,
                                   row.text(2));
                      }});
  messages.push_back(reader.look_for_registry());
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return reader.finish();
}

Fleet read_schemas(pq::Pipeline& pipeline, const FleetQuery& query,
                   const std::vector<std::string>& names, pq::Deadline deadline) {
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "VALUES (" : ", (") + quote_literal(name) + "::pg_catalog.text)";
  }
  if (list.empty()) {
    return {};
  }
  return read_wanted(pipeline, query, fmt::format("SELECT v.name FROM ({}) AS v (name)", list),
                     deadline);
}

std::vector<std::string> read_schema_names(pq::Pipeline& pipeline, const std::string& like,
                                           pq::Deadline deadline) {
  std::vector<std::string> names;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT n.nspname FROM pg_catalog.pg_namespace n "
                             "WHERE n.nspname LIKE $1 AND n.nspname !~ '^(pg|tenantctl_dropped)_' "
                             "AND n.nspname NOT IN ('information_schema', 'public', 'tenantctl') "
                             "ORDER BY n.nspname",
                      .values = {like},
                      .on_row = [&names](const pq::Row& row) { names.emplace_back(row.text(0)); }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return names;
}

std::vector<std::string> read_table_holders(pq::Pipeline& pipeline,
                                            const std::vector<std::string>& schemas,
                                            pq::Deadline deadline) {
  std::vector<std::string> holders;
  std::vector<pq::Message> messages;
  for (const std::string& schema : schemas) {
    messages.push_back(
        {.sql = "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname = $1 "
                "AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE "
                "c.relnamespace = n.oid AND c.relkind IN ('r', 'p'))",
         .values = {schema},
         .on_row = [&holders](const pq::Row& row) { holders.emplace_back(row.text(0)); }});
  }
  if (!messages.empty()) {
    pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  }
  return holders;
}

std::string ownership_condition(const std::vector<std::string>& owners, Lookup lookup) {
  std::string roles = "CURRENT_USER::pg_catalog.text";
  for (const std::string& owner : owners) {
    roles += ", " + quote_literal(owner);
  }
  // Every foreign key of every tenant has four rows in pg_trigger: to scan them for one table costs
  // more than its whole revision. For all tables at once one scan is the cheaper way.
  const std::string_view alone =
      lookup == Lookup::one
          ? "NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid "
            "AND NOT t.tgisinternal) "
            "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) "
            "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) "
          : "c.oid NOT IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t "
            "WHERE NOT t.tgisinternal) "
            "AND c.oid NOT IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i "
            "UNION ALL SELECT i.inhparent FROM pg_catalog.pg_inherits i) ";
  return fmt::format(
      "(c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relhasrules "
      "AND NOT c.relrowsecurity AND NOT c.relispartition "
      "AND {1}"
      "AND pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text IN ({0}) "
      "AND (pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text IN ({0}) "
      "OR n.nspname = 'public' AND pg_catalog.pg_get_userbyid(n.nspowner) = 'pg_database_owner' "
      "AND (SELECT pg_catalog.pg_get_userbyid(b.datdba)::pg_catalog.text "
      "FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()) IN ({0})))",
      roles, alone);
}

}  // namespace tenantctl
