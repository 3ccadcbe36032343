#include "rollout/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {

ServerRoom read_room(pq::Pipeline& pipeline, pq::Deadline deadline) {
  ServerRoom room;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT s.connections - s.reserved, s.locks * (s.connections + s.prepared), "
              "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a "
              "WHERE a.backend_type = 'client backend'), "
              "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l "
              "WHERE NOT l.fastpath AND l.mode <> 'SIReadLock') "
              "FROM (SELECT "
              "pg_catalog.current_setting('max_connections')::pg_catalog.int8 AS connections, "
              "pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 "
              "+ COALESCE(pg_catalog.current_setting('reserved_connections', true), "
              "'0')::pg_catalog.int8 AS reserved, "
              "pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 AS locks, "
              "pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8 "
              "AS prepared) s",
       .on_row = [&room](const pq::Row& row) {
         room.max_connections = std::stoull(std::string(row.text(0)));
         room.lock_slots = std::stoull(std::string(row.text(1)));
         room.connections = std::stoull(std::string(row.text(2)));
         room.locks = std::stoull(std::string(row.text(3)));
       }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return room;
}

std::size_t choose_jobs(const ServerRoom& room, bool is_local, std::size_t cores) {
  constexpr std::size_t elsewhere = 4;
  constexpr std::size_t most = 16;
  const std::size_t wanted =
      is_local ? std::min(2 * std::max<std::size_t>(cores, 1), most) : elsewhere;
  return std::max<std::size_t>(1, std::min(wanted, room.free_connections() / 2));
}

std::size_t jobs_for_locks(const ServerRoom& room, std::size_t locks_of_schema) {
  return std::max<std::size_t>(1,
                               room.free_locks() / 2 / std::max<std::size_t>(locks_of_schema, 1));
}

std::string locks_text(const ServerRoom& room, std::size_t locks_of_schema, std::size_t jobs) {
  return fmt::format(
      "a schema takes {} locks at a time; the server's lock table has room for {} "
      "(max_locks_per_transaction times connections), {} are taken, and half of the rest is left "
      "to others: {} at a time",
      locks_of_schema, room.lock_slots, room.locks, counted(jobs, "schema"));
}

bool may_fill_locks(const ServerRoom& room, const Plan& plan, std::size_t jobs) {
  // A CREATE TABLE with a key and a wide column makes a table, an index, and both of its TOAST
  // table; ours take a dozen.
  constexpr std::size_t of_statement = 6;
  constexpr std::size_t of_ours = 20;
  std::size_t most = 0;
  for (const Step& step : plan.steps) {
    if (step.runs_sql() && step.in_transaction()) {
      most = std::max(most, step.section().script.statements().size());
    }
  }
  return jobs > jobs_for_locks(room, most * of_statement + of_ours);
}

void check_jobs(const ServerRoom& room, std::size_t jobs) {
  if (jobs <= room.free_connections()) {
    return;
  }
  throw UsageError(
      fmt::format("{} connections cannot be had: the server takes {} of ordinary roles, {} are in "
                  "use, {} are free",
                  jobs, room.max_connections, room.connections, room.free_connections()),
      "Give a smaller --jobs, or none: then what is free decides.");
}

}  // namespace tenantctl
