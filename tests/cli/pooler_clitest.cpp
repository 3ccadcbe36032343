#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "support/journal.h"
#include "support/pooler.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines)
    text += line + "\n";
  return text;
}

}  // namespace

TEST_SUITE("cli/pooler") {
  TEST_CASE("two runs at once with more connections than the pool has leave nothing behind") {
    Project project;
    const Pooler pooler(3);
    project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database));
    project.create_tenants(40);
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    write_journal(project, 3);
    auto first = project.tool.start({"upgrade-all", "--jobs", "8"});
    auto second = project.tool.start({"upgrade-all", "--jobs", "8", "--depth", "4"});
    CHECK(fault(first.wait(60s), 0) == "");
    CHECK(fault(second.wait(60s), 0) == "");
    CHECK(journal_counts(project.database) == "120 rows, 0 doubled");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"tenant", "drop", "t001", "--yes"}), 0) == "");
    CHECK(joined(pooler.leftovers(project.database)) == "");
  }

  TEST_CASE("a failing schema and a lock leave nothing behind and harm no other schema") {
    Project project;
    const Pooler pooler(2);
    project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database));
    project.create_tenants(12);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.must({"upgrade-all"});
    project.database.execute("CREATE TABLE t004.b (id int)");
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);");
    CHECK(fault(project.run({"upgrade-all", "--jobs", "4", "--depth", "4"}), 1,
                {"already exists", "t004"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_tables WHERE tablename = 'b'") == "12");
    CHECK(joined(pooler.leftovers(project.database)) == "");
  }

  TEST_CASE("what a pooler cannot carry asks for --direct-url, and runs with it") {
    for (const std::string revision :
         {"-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n",
          "-- migrate:up\nSET work_mem = '8MB';\nCREATE INDEX a_id ON a (id);\n"}) {
      CAPTURE(revision);
      Project project;
      const Pooler pooler(2);
      project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database));
      project.create_tenants(5);
      project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
      project.write_raw("tenant/0002_index.sql", revision);
      CHECK(fault(project.run({"upgrade-all"}), 2, {"pooler", "--direct-url"}) == "");
      CHECK(project.revision_of("t001") == "base");
      const std::string direct = fmt::format(
          "postgresql://postgres@/{}?host={}&port={}", project.database.name(),
          project.database.value("SELECT split_part(current_setting('unix_socket_directories'), "
                                 "',', 1)"),
          project.database.value("SHOW port"));
      CHECK(fault(project.run({"upgrade-all", "--direct-url", direct}), 0) == "");
      CHECK(project.revision_of("t005") == "0002_index");
      CHECK(joined(pooler.leftovers(project.database)) == "");
    }
  }

  // One that takes no settings at a session's start, as PgBouncer before 1.20.
  TEST_CASE("--direct-url may lead through a pooler in session mode") {
    Project project;
    const Pooler pooler(2);
    const Pooler session(2, Pooler::Mode::session);
    project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database));
    project.create_tenants(3);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);");
    project.write_raw(
        "tenant/0002_index.sql",
        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n");
    CHECK(fault(project.run({"upgrade-all", "--direct-url", session.conninfo(project.database)}),
                0) == "");
    CHECK(project.revision_of("t003") == "0002_index");
  }

  TEST_CASE("SIGTERM cancels what runs behind a pooler") {
    Project project;
    const Pooler pooler(4);
    project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database));
    project.create_tenants(3);
    project.write("tenant/0001_slow.sql", "CREATE TABLE a (id int);\nSELECT pg_sleep(60);");
    const std::string sleeping =
        "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND "
        "datname = current_database()";
    auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
    REQUIRE(becomes_true(project.database, "SELECT count(*) >= 1 " + sleeping));
    const auto begin = std::chrono::steady_clock::now();
    process.kill(SIGTERM);
    CHECK(fault(process.wait(40s), 130, {"interrupted"}) == "");
    CHECK(std::chrono::steady_clock::now() - begin < 20s);
    CHECK(becomes_true(project.database, "SELECT count(*) = 0 " + sleeping));
    CHECK_FALSE(project.has_table("t001", "a"));
    CHECK(joined(pooler.leftovers(project.database)) == "");
  }
}
