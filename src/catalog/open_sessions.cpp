#include "catalog/open_sessions.h"

#include <fmt/format.h>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

constexpr std::string_view session_columns =
    "a.pid, 'role ' || COALESCE(a.usename, '?') || ' (pid ' || a.pid || "
    "CASE a.application_name WHEN '' THEN '' ELSE ', ' || a.application_name END || ')'";

std::vector<OpenSession> ask_sessions(pq::Pipeline& pipeline, std::string sql,
                                      std::vector<std::optional<std::string>> values,
                                      pq::Deadline deadline) {
  std::vector<OpenSession> sessions;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::move(sql),
                      .values = std::move(values),
                      .on_row = [&sessions](const pq::Row& row) {
                        sessions.push_back({.transaction = std::string(row.text(0)),
                                            .pid = std::string(row.text(1)),
                                            .who = std::string(row.text(2))});
                      }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return sessions;
}

}  // namespace

std::vector<OpenSession> read_open_transactions(pq::Pipeline& pipeline, pq::Deadline deadline) {
  return ask_sessions(
      pipeline,
      fmt::format("SELECT l.virtualtransaction, {} FROM pg_catalog.pg_locks l "
                  "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                  "WHERE l.locktype = 'virtualxid' AND a.datname = pg_catalog.current_database() "
                  "AND a.backend_type IS DISTINCT FROM 'autovacuum worker' "
                  "AND l.pid <> pg_catalog.pg_backend_pid() UNION ALL "
                  "SELECT p.gid, NULL, 'prepared transaction ' || p.gid "
                  "FROM pg_catalog.pg_prepared_xacts p "
                  "WHERE p.database = pg_catalog.current_database()",
                  session_columns),
      {}, deadline);
}

std::vector<OpenSession> read_connected(pq::Pipeline& pipeline, const std::string& database,
                                        const std::vector<int>& but, pq::Deadline deadline) {
  std::vector<std::string> pids;
  for (const int pid : but) {
    pids.push_back(fmt::to_string(pid));
  }
  return ask_sessions(
      pipeline,
      fmt::format("SELECT a.pid::pg_catalog.text, {} FROM pg_catalog.pg_stat_activity a "
                  "WHERE a.datname = $1 "
                  "AND a.backend_type = 'client backend' "
                  "AND a.pid <> ALL ($2::pg_catalog.int4[]) UNION ALL "
                  "SELECT p.gid, NULL, 'prepared transaction ' || p.gid "
                  "FROM pg_catalog.pg_prepared_xacts p WHERE p.database = $1",
                  session_columns),
      {database, array_of(pids)}, deadline);
}

void end_sessions(pq::Pipeline& pipeline, const std::vector<OpenSession>& sessions,
                  pq::Deadline deadline) {
  std::vector<pq::Message> messages;
  for (const OpenSession& session : sessions) {
    if (!session.pid.empty()) {
      messages.push_back(
          {.sql = "SELECT pg_catalog.pg_terminate_backend($1)", .values = {session.pid}});
    }
  }
  if (!messages.empty()) {
    pq::run_transaction(pipeline, std::move(messages), pq::Access::read_write, deadline);
  }
}

std::string named_sessions(const std::vector<OpenSession>& sessions) {
  constexpr std::size_t shown = 3;
  std::string text;
  for (std::size_t i = 0; i < sessions.size() && i < shown; ++i) {
    text += (text.empty() ? "" : ", ") + escaped_name(sessions[i].who);
  }
  if (sessions.size() > shown) {
    text += fmt::format(" and {} more", sessions.size() - shown);
  }
  return text;
}

}  // namespace tenantctl
