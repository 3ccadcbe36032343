#include "migrate/schema_drop.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

std::size_t read_count(pq::Pipeline& pipeline, pq::Message message, pq::Deadline deadline) {
  std::size_t count = 0;
  message.on_row = [&count](const pq::Row& row) { count = std::stoul(std::string(row.text(0))); };
  std::vector<pq::Message> messages;
  messages.push_back(std::move(message));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return count;
}

std::string kind_of(std::string_view relkind) {
  if (relkind == "v") {
    return "VIEW";
  }
  if (relkind == "m") {
    return "MATERIALIZED VIEW";
  }
  if (relkind == "f") {
    return "FOREIGN TABLE";
  }
  if (relkind == "S") {
    return "SEQUENCE";
  }
  return "TABLE";
}

}  // namespace

SchemaDrop::SchemaDrop(pq::Pipeline& pipeline, const VersionTable& table, std::string version_table)
    : pipeline_(pipeline), table_(table), version_table_(std::move(version_table)) {}

std::size_t SchemaDrop::capacity(pq::Deadline deadline) {
  return read_count(
      pipeline_,
      {.sql = "SELECT current_setting('max_locks_per_transaction')::pg_catalog.int8 * "
              "(current_setting('max_connections')::pg_catalog.int8 + "
              "current_setting('max_prepared_transactions')::pg_catalog.int8) / 4"},
      deadline);
}

std::size_t SchemaDrop::relation_count(pq::Deadline deadline) {
  return read_count(pipeline_,
                    {.sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c "
                            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                            "WHERE n.nspname = $1",
                     .values = {table_.schema().text()}},
                    deadline);
}

void SchemaDrop::run_locked(std::vector<pq::Message> messages, pq::Deadline deadline) {
  messages.insert(messages.begin(), table_.lock());
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline);
  } catch (const pq::ServerError& error) {
    const auto refusal = own_refusal(error.fields());
    if (refusal && refusal->code == refusal::busy) {
      throw UnavailableError(fmt::format("{}: another session is migrating the schema",
                                         escaped_name(table_.schema().text())),
                             "Wait until it ends and try again.");
    }
    throw;
  }
}

std::vector<std::string> SchemaDrop::some_relations(std::size_t most, pq::Deadline deadline) {
  std::vector<std::string> drops;
  std::vector<pq::Message> messages;
  // A partition goes with its parent; a serial's sequence with its table.
  messages.push_back({.sql = "SELECT c.relkind, c.relname FROM pg_catalog.pg_class c "
                             "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                             "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') "
                             "AND c.relname <> $2 ORDER BY c.relkind = 'S', c.oid LIMIT $3",
                      .values = {table_.schema().text(), version_table_, fmt::to_string(most)},
                      .on_row = [&](const pq::Row& row) {
                        drops.push_back(fmt::format("DROP {} IF EXISTS {}.{} CASCADE",
                                                    kind_of(row.text(0)), table_.schema().quoted(),
                                                    quote_identifier(row.text(1))));
                      }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline);
  return drops;
}

void SchemaDrop::run(std::size_t most, pq::Deadline deadline, Alongside alongside) {
  if (most == 0) {
    most = capacity(deadline);
  }
  if (relation_count(deadline) > most) {
    Mark dropping;
    dropping.dropping = true;
    std::vector<pq::Message> mark = std::move(alongside.begin);
    mark.push_back(table_.mark(dropping));
    run_locked(std::move(mark), deadline);
    // A relation takes its indexes and toast table along, hence fewer at a time.
    const std::size_t batch = std::max<std::size_t>(1, most / 10);
    while (relation_count(deadline) > most) {
      const std::vector<std::string> drops = some_relations(batch, deadline);
      if (drops.empty()) {
        break;
      }
      for (const std::string& drop : drops) {
        run_locked({{.sql = drop}}, deadline);
      }
    }
  }
  std::vector<pq::Message> messages = std::move(alongside.before);
  messages.push_back({.sql = fmt::format("DROP SCHEMA {} CASCADE", table_.schema().quoted())});
  std::ranges::move(alongside.behind, std::back_inserter(messages));
  run_locked(std::move(messages), deadline);
}

}  // namespace tenantctl
