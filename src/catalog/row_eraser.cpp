#include "catalog/row_eraser.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "catalog/reference_order.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

constexpr std::uint64_t batch = 10'000;

}  // namespace

RowEraser::RowEraser(pq::Pipeline& pipeline, ErasedTenant tenant,
                     std::chrono::milliseconds patience)
    : pipeline_(pipeline), tenant_(std::move(tenant)), patience_(patience) {}

// Partitions, not their parents: a ctid means something in one table only.
void RowEraser::read_tables() {
  std::vector<std::string> oids;
  References references;
  const auto index_of = [&oids](std::string_view oid) {
    return static_cast<std::size_t>(std::ranges::find(oids, oid) - oids.begin());
  };
  std::vector<pq::Message> messages;
  constexpr std::string_view owned =
      "WITH owned AS (SELECT c.oid, c.relname FROM pg_catalog.pg_class c "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 "
      "AND NOT a.attisdropped WHERE n.nspname = $1 AND c.relkind = 'r') ";
  messages.push_back({.sql = fmt::format("{}SELECT o.oid, o.relname FROM owned o "
                                         "ORDER BY o.relname COLLATE pg_catalog.\"C\"",
                                         owned),
                      .values = {tenant_.home, tenant_.column},
                      .on_row = [this, &oids](const pq::Row& row) {
                        oids.emplace_back(row.text(0));
                        tables_.push_back({.table = std::string(row.text(1))});
                      }});
  messages.push_back({.sql = fmt::format("{}SELECT DISTINCT k.conrelid, k.confrelid "
                                         "FROM pg_catalog.pg_constraint k "
                                         "JOIN owned o ON o.oid = k.conrelid "
                                         "JOIN owned f ON f.oid = k.confrelid "
                                         "WHERE k.contype = 'f'",
                                         owned),
                      .values = {tenant_.home, tenant_.column},
                      .on_row = [&](const pq::Row& row) {
                        references.emplace(index_of(row.text(0)), index_of(row.text(1)));
                      }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  steps_ = erasing_order(tables_.size(), references);
}

std::uint64_t RowEraser::erase(const std::vector<std::size_t>& tables, bool batched) {
  std::string deletes;
  std::string counts;
  for (const std::size_t i : tables) {
    const std::string table =
        quote_identifier(tenant_.home) + "." + quote_identifier(tables_[i].table);
    const std::string is_its =
        fmt::format("t.{} OPERATOR(pg_catalog.=) $1", quote_identifier(tenant_.column));
    const std::string which = batched ? fmt::format(
                                            "t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT "
                                            "t.ctid FROM {} t WHERE {} LIMIT {})) AND {}",
                                            table, is_its, batch, is_its)
                                      : is_its;
    deletes += fmt::format("{}d{} AS (DELETE FROM {} t WHERE {} RETURNING 1)",
                           deletes.empty() ? "WITH " : ", ", i, table, which);
    counts += fmt::format("{}(SELECT pg_catalog.count(*) FROM d{})", counts.empty() ? "" : ", ", i);
  }
  std::uint64_t most = 0;
  std::vector<pq::Message> messages;
  // Triggers of the tables resolve their names as they do at work.
  messages.push_back({.sql = "SELECT pg_catalog.set_config('tenantctl.tenant_id', $1, true), "
                             "pg_catalog.set_config('search_path', $2, true)",
                      .values = {tenant_.id, quote_identifier(tenant_.home) + ", pg_temp"}});
  messages.push_back({.sql = fmt::format("{} SELECT {}", deletes, counts),
                      .values = {tenant_.id},
                      .on_row = [&](const pq::Row& row) {
                        int column = 0;
                        for (const std::size_t i : tables) {
                          const auto rows = number_of<std::uint64_t>(row.text(column++));
                          tables_[i].rows += rows;
                          most = std::max(most, rows);
                        }
                      }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline());
  return most;
}

void RowEraser::erase_all() {
  for (const std::vector<std::size_t>& step : steps_) {
    // A table that refers to itself stands twice: not in batches, which would part its rows.
    std::vector<std::size_t> tables = step;
    tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
    const bool batched = step.size() == 1;
    while (erase(tables, batched) == batch && batched) {
    }
  }
}

// Everybody may see these locks, but not when a stranger's transaction began.
std::vector<std::string> RowEraser::open_transactions() {
  std::vector<std::string> open;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT l.virtualtransaction FROM pg_catalog.pg_locks l "
              "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'virtualxid' "
              "AND a.datname = pg_catalog.current_database() "
              "AND a.backend_type IS DISTINCT FROM 'autovacuum worker' "
              "AND l.pid <> pg_catalog.pg_backend_pid()",
       .on_row = [&open](const pq::Row& row) { open.emplace_back(row.text(0)); }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  std::ranges::sort(open);
  return open;
}

void RowEraser::wait_for(std::vector<std::string> transactions, std::chrono::milliseconds wait) {
  const auto until = pq::Clock::now() + wait;
  while (!transactions.empty()) {
    const std::vector<std::string> open = open_transactions();
    std::erase_if(transactions, [&open](const std::string& one) {
      return !std::ranges::binary_search(open, one);
    });
    if (transactions.empty()) {
      return;
    }
    if (pq::Clock::now() >= until) {
      throw Error(fmt::format("{} open that may have entered the tenant before it was closed",
                              counted(transactions.size(), "transaction is", "transactions are")),
                  "Its rows are deleted so far; run the command again when they have ended.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

std::vector<ErasedRows> RowEraser::run(std::chrono::milliseconds wait) {
  const std::vector<std::string> open = open_transactions();
  read_tables();
  erase_all();
  if (!open.empty()) {
    wait_for(open, wait);
    erase_all();
  }
  return tables_;
}

std::vector<ErasedRows> RowEraser::run_alone() {
  read_tables();
  erase_all();
  return tables_;
}

}  // namespace tenantctl
