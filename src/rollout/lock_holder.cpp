#include "rollout/lock_holder.h"

#include <fmt/format.h>

#include "migrate/version_table.h"
#include "rollout/watch.h"

namespace tenantctl {

pq::Message read_lock_holder(const std::string& schema, std::optional<Blocker>& holder) {
  holder.reset();
  return {.sql = fmt::format("SELECT {} FROM pg_catalog.pg_locks l "
                             "JOIN pg_catalog.pg_namespace n ON n.nspname = $1 "
                             "JOIN pg_catalog.pg_stat_activity b ON b.pid = l.pid "
                             "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 "
                             "AND l.classid = {} AND l.objid = n.oid "
                             "AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d "
                             "WHERE d.datname = pg_catalog.current_database()) LIMIT 1",
                             blocker_columns, VersionTable::lock_class),
          .values = {schema},
          .on_row = [&holder](const pq::Row& row) { holder = blocker_from(row, 0); }};
}

pq::Message end_orphan(const Backend& backend) {
  return {.sql = fmt::format(
              "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
              "WHERE a.pid = $1 AND {} = $2 AND a.usename = SESSION_USER "
              "AND a.application_name = pg_catalog.current_setting('application_name') "
              "AND a.wait_event_type = 'Client' AND a.pid <> pg_catalog.pg_backend_pid()",
              started_column),
          .values = {fmt::to_string(backend.pid), fmt::to_string(backend.started)}};
}

}  // namespace tenantctl
