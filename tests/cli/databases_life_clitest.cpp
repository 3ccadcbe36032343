#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/database_project.h"
#include "support/json_schema.h"
#include "support/process.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

/// Somebody at the row of a tenant's database in the server's catalog: whoever wants to change the
/// database waits.
class DatabaseLock {
 public:
  DatabaseLock(DatabaseProject& project, const std::string& tenant) : database_(project.database) {
    database_.execute("BEGIN; ALTER DATABASE " + project.name_of(tenant) + " CONNECTION LIMIT 50");
  }
  void wait_for_one() {
    const std::string waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted";
    for (int i = 0; i < 100 && database_.value(waiting) == "0"; ++i)
      database_.value("SELECT pg_sleep(0.1)");
    CHECK(database_.value(waiting) == "1");
  }
  // As a machine that is lost: its session does not go on when the way is free.
  void end_who_waits() {
    database_.value("SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted");
    database_.value("SELECT pg_sleep(0.2)");
  }
  void release() { database_.execute("ROLLBACK"); }

 private:
  TestDatabase& database_;
};

RunningProcess user_of(DatabaseProject& project, const std::string& tenant) {
  RunningProcess user({"psql", "-XAtq", project.conninfo_of(tenant), "-c", "SELECT pg_sleep(600)"});
  const std::string connected =
      "SELECT count(*) FROM pg_stat_activity WHERE datname = '" + project.name_of(tenant) + "'";
  for (int i = 0; i < 100 && project.database.value(connected) == "0"; ++i)
    project.database.value("SELECT pg_sleep(0.1)");
  return user;
}

}  // namespace

TEST_SUITE("cli/databases/rename") {
  TEST_CASE("identifier and database change together, and every command finds it") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one", "two"});
    const auto run = project.run({"tenant", "rename", "one", "uno", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-rename") == "");
    CHECK(json::parse(run.out)["database"] ==
          json{{"from", project.name_of("one")}, {"to", project.name_of("uno")}});
    CHECK(project.has_database("uno"));
    CHECK_FALSE(project.has_database("one"));
    CHECK(project.states() == "two ready,uno ready");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "show", "uno"}), 0,
                {project.name_of("uno"), "0003_c", "pending    nothing"}) == "");
    CHECK(fault(project.run({"tenant", "rename", project.schema_of("uno"), "eins"}), 0,
                {"renamed uno to eins\n", "renamed database " + project.name_of("uno")}) == "");
  }

  TEST_CASE("what is taken, in use or named otherwise is told, and nothing is half done") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one", "two"});
    CHECK(fault(project.run({"tenant", "rename", "one", "two"}), 2, {"registered already"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "one", "Big"}), 2, {"is no slug"}) == "");
    project.database.execute("CREATE DATABASE " + project.name_of("taken"));
    CHECK(fault(project.run({"tenant", "rename", "one", "taken"}), 2,
                {"there is a database " + project.name_of("taken") + " already"}) == "");
    {
      auto user = user_of(project, "one");
      CHECK(fault(project.run({"tenant", "rename", "one", "uno"}), 1,
                  {"was not renamed", "being accessed by other users", "Nothing was changed"}) ==
            "");
      user.kill(SIGTERM);
      user.wait();
    }
    CHECK(project.states() == "one ready,two ready");
    project.database.execute("UPDATE tenantctl.tenant SET slug = 'other' WHERE slug = 'two'");
    CHECK(fault(project.run({"tenant", "rename", "other", "third"}), 0,
                {"renamed other to third\n", "its database keeps its name\n"}) == "");
    CHECK(project.has_database("two"));
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE(
      "killed or cut off before the database was renamed or behind it, it ends when given again") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    const std::vector<std::string> command{"tenant", "rename", "one", "uno"};
    {
      DatabaseLock lock(project, "one");
      auto process = project.tool.start(command);
      lock.wait_for_one();
      process.kill(SIGKILL);
      process.wait();
      lock.end_who_waits();
      lock.release();
    }
    CHECK(project.states() == "one ready");
    CHECK(project.has_database("one"));
    // Behind it: the registry is in the way.
    DatabaseLock lock(project, "one");
    auto process = project.tool.start(command);
    lock.wait_for_one();
    RunningProcess other(
        {"psql", "-XAtq", project.database.conninfo(), "-c",
         "BEGIN; LOCK TABLE tenantctl.tenant IN SHARE MODE; SELECT pg_sleep(600)"});
    const std::string locked =
        "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ShareLock' AND relation = "
        "'tenantctl.tenant'::regclass";
    for (int i = 0; i < 100 && project.database.value(locked) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    lock.release();
    for (int i = 0; i < 100 && !project.has_database("uno"); ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    CHECK(project.has_database("uno"));
    // Only who waits by now is ended; what comes later would go on without its client.
    const std::string waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
        "'tenantctl.tenant'::regclass";
    for (int i = 0; i < 100 && project.database.value(waiting) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.02)");
    process.kill(SIGKILL);
    process.wait();
    lock.end_who_waits();
    project.database.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
        "query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    other.wait();
    CHECK(project.states() == "one ready");
    CHECK(fault(project.run({"tenant", "rename", "one", "other"}), 2, {"there is no database"}) ==
          "");
    CHECK(fault(project.run(command), 0, {"renamed one to uno"}) == "");
    CHECK(project.states() == "uno ready");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }
}

TEST_SUITE("cli/databases/grace") {
  TEST_CASE("a dropped database is shut, left out everywhere, and comes back as it was") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one", "two"});
    project.must({"tenant", "suspend", "one"});
    CHECK(fault(project.run({"tenant", "drop", "one", "--yes"}), 0, {"dropped one\n"}) == "");
    CHECK(contains(project.inside("one", "SELECT 1"), "not currently accepting connections"));
    CHECK(project.states() == "one deleting,two ready");
    CHECK(fault(project.run({"tenant", "drop", "one", "--yes"}), 0,
                {"unchanged one: dropped already"}) == "");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 0, {"applied, at 0004_d"}) == "");
    CHECK_FALSE(contains(run.err, "left out"));
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK_FALSE(contains(project.must({"tenant", "list"}), "one"));
    CHECK(fault(project.run({"tenant", "list", "--state", "deleting"}), 0,
                {project.schema_of("one"), "dropped"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "one"}), 2,
                {"tenant one is deleting", "tenant undrop one brings it back"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database"}), 2,
                {"registered already: deleting", "undrop brings it back"}) == "");
    CHECK(fault(project.run({"tenant", "undrop", "one"}), 0, {"restored one\n"}) == "");
    CHECK(project.states() == "one suspended,two ready");
    CHECK(project.revision_in("one") == "0003_c");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"1 applied, 1 unchanged"}) == "");
  }

  TEST_CASE("purged when the grace is over, and a pattern takes databases along") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one", "two"});
    project.must({"tenant", "create", "plain"});
    CHECK(fault(project.run({"tenant", "drop", "--isolation", "database", "--yes"}), 0,
                {"dropped one", "dropped two"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "--yes"}), 0) == "");
    CHECK(project.has_database("one"));
    CHECK(fault(project.run({"tenant", "purge", "one", "--yes"}), 2, {"has a grace of 7 days"}) ==
          "");
    CHECK(fault(project.run({"tenant", "purge", "--grace", "0s", "--yes"}), 0,
                {"purged one", "purged two"}) == "");
    CHECK_FALSE(project.has_database("one"));
    CHECK(project.states() == "plain ready");
    CHECK(fault(project.run({"tenant", "undrop", "one"}), 2, {"was dropped"}) == "");
  }

  TEST_CASE("who is connected keeps it from being dropped, unless that is ended") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    auto user = user_of(project, "one");
    CHECK(fault(project.run({"tenant", "drop", "one", "--yes"}), 1,
                {"1 session is connected", "--force ends sessions"}) == "");
    CHECK(project.states() == "one ready");
    CHECK(project.inside("one", "SELECT 1") == "1");
    CHECK(fault(project.run({"tenant", "drop", "one", "--yes", "--force"}), 0, {"dropped one"}) ==
          "");
    CHECK(user.wait().exit_code != 0);
  }

  TEST_CASE("killed between registry and database, drop, undrop and purge end when given again") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    const std::vector<std::vector<std::string>> commands{
        {"tenant", "drop", "one", "--yes"},
        {"tenant", "undrop", "one"},
        {"tenant", "drop", "one", "--yes"},
        {"tenant", "purge", "one", "--all", "--yes"}};
    const std::vector<std::string> behind{"one deleting", "one ready", "one deleting", ""};
    for (std::size_t i = 0; i < commands.size(); ++i) {
      CAPTURE(i);
      DatabaseLock lock(project, "one");
      auto process = project.tool.start(commands[i]);
      lock.wait_for_one();
      process.kill(SIGKILL);
      process.wait();
      lock.end_who_waits();
      lock.release();
      CHECK(fault(project.run(commands[i]), 0) == "");
      CHECK(project.states() == behind[i]);
      CHECK(project.has_database("one") == (i < 3));
      if (i == 1)
        CHECK(project.revision_in("one") == "0003_c");
    }
  }

  TEST_CASE("a database that is gone meanwhile is told, and purge removes the row") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    project.must({"tenant", "drop", "one", "--yes"});
    project.database.execute("DROP DATABASE " + project.name_of("one"));
    CHECK(fault(project.run({"registry", "check"}), 4, {"one: registered, but there is no"}) == "");
    CHECK(fault(project.run({"tenant", "undrop", "one"}), 1, {"is gone", "tenant purge"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "one", "--all", "--yes"}), 0, {"purged one"}) ==
          "");
    CHECK(project.states() == "");
  }

  TEST_CASE("what copies one schema refuses a database, and says what to do") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    CHECK(fault(project.run({"tenant", "clone", "one", "twin"}), 2,
                {"lives in database " + project.name_of("one"), "pg_dump of its database"}) == "");
    CHECK(fault(project.run({"tenant", "export", "one", "--file", "f"}), 2,
                {"lives in database", "pg_dump of its database"}) == "");
  }
}
