#include "tenant/schema_facts.h"

#include <utility>
#include <vector>

#include "base/number.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

// Reading a size locks each table for a moment: whoever rewrites one is not waited for.
std::optional<std::uint64_t> read_size(pq::Pipeline& pipeline, const std::string& schema,
                                       pq::Deadline deadline) {
  std::optional<std::uint64_t> bytes;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.set_config('lock_timeout', '1s', true)"});
  messages.push_back(
      {.sql = "SELECT COALESCE(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0) "
              "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "WHERE n.nspname = $1 AND c.relkind IN ('r', 'm', 'S')",
       .values = {schema},
       .on_row = [&bytes](const pq::Row& row) { bytes = number_of<std::uint64_t>(row.text(0)); }});
  try {
    pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  } catch (const pq::ServerError& error) {
    constexpr std::string_view lock_not_available = "55P03";
    if (!error.is(lock_not_available)) {
      throw;
    }
  }
  return bytes;
}

}  // namespace

std::optional<SchemaFacts> read_schema_facts(pq::Pipeline& pipeline, const std::string& schema,
                                             pq::Deadline deadline) {
  std::optional<SchemaFacts> facts;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT pg_catalog.pg_get_userbyid(n.nspowner), "
              "(SELECT pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p')) "
              "FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid), "
              "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c "
              "WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')) "
              "FROM pg_catalog.pg_namespace n WHERE n.nspname = $1",
       .values = {schema},
       .on_row = [&facts](const pq::Row& row) {
         facts = SchemaFacts{.owner = std::string(row.text(0)),
                             .tables = number_of<std::size_t>(row.text(1)),
                             .relations = number_of<std::size_t>(row.text(2)),
                             .bytes = std::nullopt};
       }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  if (facts) {
    facts->bytes = read_size(pipeline, schema, deadline);
  }
  return facts;
}

}  // namespace tenantctl
