#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "support/journal.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  REQUIRE_MESSAGE(value != nullptr, name);
  return value;
}

// pg_ctl as the account that the server runs under: neither of them runs as root.
Finished control_server(const std::vector<std::string>& arguments) {
  struct stat data {};
  REQUIRE(::stat(variable("PGDATA").c_str(), &data) == 0);
  std::vector<std::string> command;
  if (::geteuid() == 0) {
    command = {"setpriv",
               "--reuid",
               std::to_string(data.st_uid),
               "--regid",
               std::to_string(data.st_gid),
               "--clear-groups"};
  }
  command.insert(command.end(), {variable("PGBIN") + "/pg_ctl", "-D", variable("PGDATA"), "-w",
                                 "-l", variable("PGLOGFILE")});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_process(command, {.folder = "/"});
}

void check_complete(Project& project, RunningProcess& process) {
  CHECK(fault(process.wait(60s), 0) == "");
  project.database.reconnect();
  CHECK(journal_counts(project.database) == "60 rows, 0 doubled");
  CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  CHECK(project.database.value("SELECT string_agg(state, ' ') FROM tenantctl.run WHERE "
                               "command = 'upgrade-all'") == "ok");
  CHECK(
      project.database.value("SELECT count(*) FROM tenantctl.run_schema s JOIN tenantctl.run r ON "
                             "r.id = s.run_id WHERE r.command = 'upgrade-all'") == "30");
}

}  // namespace

TEST_SUITE("cli/restart") {
  TEST_CASE("a server that restarts in the middle is waited for, and the run ends complete") {
    for (const std::string mode : {"fast", "immediate"}) {
      CAPTURE(mode);
      Project project;
      project.create_tenants(30);
      write_journal(project, 2, "SELECT pg_sleep(0.05);\n");
      auto process = project.tool.start({"upgrade-all", "--jobs", "2", "--depth", "4"});
      REQUIRE(becomes_true(project.database, "SELECT count(*) >= 10 FROM public.journal"));
      const Finished restarted = control_server({"-m", mode, "restart"});
      REQUIRE_MESSAGE(restarted.exit_code == 0, restarted.out, restarted.err);
      check_complete(project, process);
    }
  }

  TEST_CASE("a backend that is killed takes all others along, and the run ends complete") {
    Project project;
    project.create_tenants(30);
    write_journal(project, 2, "SELECT pg_sleep(0.05);\n");
    auto process = project.tool.start({"upgrade-all", "--jobs", "2", "--depth", "4"});
    REQUIRE(becomes_true(project.database, "SELECT count(*) >= 10 FROM public.journal"));
    const auto pid = project.database.value(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tenantctl/%/run' AND "
        "datname = current_database() LIMIT 1");
    REQUIRE(::kill(std::stoi(pid), SIGKILL) == 0);
    check_complete(project, process);
  }

  TEST_CASE("what was reported applied outlives a crash, also where commits need not wait") {
    bool is_proven = false;
    for (int tries = 0; tries < 3 && !is_proven; ++tries) {
      Project project;
      TestDatabase& database = project.database;
      database.execute("CREATE TABLE public.lost (i int)");
      database.execute("ALTER DATABASE " + database.name() + " SET synchronous_commit = off");
      project.create_tenants(5);
      project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
      project.write_raw("tenant/0002_b.sql",
                        "-- migrate:up transaction:false\n"
                        "CREATE INDEX CONCURRENTLY a_id ON a (id);\n");
      database.execute("ALTER SYSTEM SET wal_writer_delay = '10s'");
      database.execute("SELECT pg_reload_conf()");
      database.execute("CHECKPOINT");
      // Without the ledger, whose writes would come behind the last schema's.
      CHECK(fault(project.run({"upgrade-all", "--no-ledger"}), 0, {"5 applied"}) == "");
      database.execute("SET synchronous_commit = off");
      database.execute("INSERT INTO public.lost VALUES (1)");
      const Finished restarted = control_server({"-m", "immediate", "restart"});
      REQUIRE_MESSAGE(restarted.exit_code == 0, restarted.out, restarted.err);
      database.reconnect();
      database.execute("ALTER SYSTEM RESET wal_writer_delay");
      database.execute("SELECT pg_reload_conf()");
      CHECK(fault(project.run({"check", "--deep"}), 0) == "");
      CHECK(project.revision_of("t005") == "0002_b");
      CHECK(database.value("SELECT count(*) FROM pg_index WHERE indisvalid AND "
                           "indexrelid::regclass::text LIKE 't%.a_id'") == "5");
      // A commit that did not wait is gone: the crash came soon enough to tell.
      is_proven = database.value("SELECT count(*) FROM public.lost") == "0";
    }
    CHECK(is_proven);
  }

  TEST_CASE("a server that stays away ends the run when patience is over, with what is known") {
    Project project;
    project.create_tenants(10);
    write_journal(project, 2, "SELECT pg_sleep(0.05);\n");
    auto process = project.tool.start({"upgrade-all", "--jobs", "2", "--reconnect-timeout", "2s"});
    REQUIRE(becomes_true(project.database, "SELECT count(*) >= 4 FROM public.journal"));
    REQUIRE(control_server({"-m", "immediate", "stop"}).exit_code == 0);
    const auto begin = std::chrono::steady_clock::now();
    const Finished run = process.wait(40s);
    const auto took = std::chrono::steady_clock::now() - begin;
    REQUIRE(control_server({"start"}).exit_code == 0);
    CHECK(fault(run, 1, {"in-doubt", "not-started"}) == "");
    CHECK(took < 20s);
    project.database.reconnect();
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(journal_counts(project.database) == "20 rows, 0 doubled");
  }
}
