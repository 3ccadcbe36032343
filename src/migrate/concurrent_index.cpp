#include "migrate/concurrent_index.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"

namespace tenantctl {

ConcurrentIndex::ConcurrentIndex(SchemaName schema, std::string name)
    : schema_(std::move(schema)), name_(std::move(name)) {}

// A partitioned parent (relkind I) is legitimately invalid until all its parts are attached.
pq::Message ConcurrentIndex::inspect(State& state) const {
  state = State::absent;
  return {.sql =
              "SELECT c.relkind = 'i', i.indisvalid AND i.indisready AND i.indislive, "
              "EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p "
              "WHERE p.index_relid = c.oid) "
              "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
              "c.relnamespace LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid "
              "WHERE n.nspname = $1 AND c.relname = $2",
          .values = {schema_.text(), name_},
          .on_row = [&state](const pq::Row& row) {
            if (row.text(0) != "t") {
              state = State::other;
            } else if (row.text(1) == "t") {
              state = State::valid;
            } else {
              state = row.text(2) == "t" ? State::building : State::invalid;
            }
          }};
}

// The name alone proves nothing: beside it, on the same table, stands the index that it was for.
pq::Message ConcurrentIndex::leftovers(const SchemaName& schema, std::vector<std::string>& names) {
  names.clear();
  return {.sql =
              "SELECT c.relname FROM pg_catalog.pg_class c "
              "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid "
              "WHERE n.nspname = $1 AND c.relkind = 'i' AND NOT i.indisvalid "
              "AND c.relname ~ '_cc(new|old)[0-9]*$' "
              "AND EXISTS (SELECT FROM pg_catalog.pg_index o "
              "JOIN pg_catalog.pg_class oc ON oc.oid = o.indexrelid "
              "WHERE o.indrelid = i.indrelid AND oc.relname = "
              "pg_catalog.regexp_replace(c.relname::pg_catalog.text, '_cc(new|old)[0-9]*$', '')) "
              "AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p "
              "WHERE p.relid = i.indrelid) ORDER BY c.relname",
          .values = {schema.text()},
          .on_row = [&names](const pq::Row& row) { names.emplace_back(row.text(0)); }};
}

pq::Message ConcurrentIndex::drop() const {
  return {.sql = fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", schema_.quoted(),
                             quote_identifier(name_))};
}

}  // namespace tenantctl
