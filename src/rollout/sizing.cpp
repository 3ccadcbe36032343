#include "rollout/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "pq/transaction.h"

namespace tenantctl {

ServerRoom read_room(pq::Pipeline& pipeline, pq::Deadline deadline) {
  ServerRoom room;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT s.connections - s.reserved, s.locks * (s.connections + s.prepared), "
              "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a "
              "WHERE a.backend_type = 'client backend') "
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
