#include "support/pooler.h"

#include <chrono>
#include <csignal>
#include <stdexcept>

#include "support/fault_proxy.h"
#include "support/project.h"

namespace tenantctl::testing {

using namespace std::chrono_literals;

Pooler::Pooler(int size, Mode mode)
    : size_(size),
      port_(free_port()),
      process_({(source_folder() / "scripts/with_pooler").string(), "--size", std::to_string(size),
                "--port", std::to_string(port_), mode == Mode::session ? "--session" : "env", "sh",
                "-c", "echo ready; exec sleep 600"}) {
  if (!process_.shows("ready\n"))
    throw std::runtime_error("the pooler did not start: " + process_.wait(5s).err);
}

// A pooler that is killed with the group leaves nothing; one that is told cleans up.
Pooler::~Pooler() {
  process_.kill(SIGTERM);
  process_.wait(5s);
}

std::string Pooler::conninfo(const TestDatabase& database, const std::string& role) const {
  return pooled_conninfo(database.conninfo_as(role), address());
}

std::string Pooler::address() const { return "127.0.0.1:" + std::to_string(port_); }

// As many transactions at once as there are server connections see every one of them.
std::vector<std::string> Pooler::leftovers(TestDatabase& database) const {
  const std::vector<std::string> look{
      "psql", "-XAtq", conninfo(database), "-c", "BEGIN", "-c",
      // What PgBouncer itself carries from client to client, and what the transaction makes.
      "SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN "
      "('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', "
      "'application_name') AND name NOT LIKE 'transaction_%'",
      "-c",
      // The role may have limits of its own.
      "SELECT set_config(name, '0', true) <> '0' FROM pg_settings WHERE name IN "
      "('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')",
      "-c", "SELECT pg_sleep(1) IS NULL", "-c",
      "SELECT 'prepared ' || name FROM pg_prepared_statements", "-c",
      "SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()", "-c",
      "SELECT 'listens ' || c FROM pg_listening_channels() c", "-c", "COMMIT"};
  std::vector<RunningProcess> looks;
  for (int i = 0; i < size_; ++i)
    looks.emplace_back(look);
  std::vector<std::string> found;
  for (RunningProcess& one : looks) {
    const Finished finished = one.wait();
    if (finished.exit_code != 0)
      found.push_back("psql failed: " + finished.err);
    for (const std::string& line : lines_of(finished.out)) {
      if (line != "f" && !line.empty())
        found.push_back(line);
    }
  }
  for (const auto& row :
       database.rows("SELECT l.pid || ' ' || a.application_name FROM pg_locks l JOIN "
                     "pg_stat_activity a USING "
                     "(pid) WHERE l.locktype = 'advisory' AND a.datname = current_database()"))
    found.push_back("advisory lock of " + row.front());
  return found;
}

}  // namespace tenantctl::testing
