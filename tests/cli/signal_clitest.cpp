#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "support/journal.h"
#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// Every revision of every schema, run once each, by the journal that the revisions write.
std::string doubled(TestDatabase& database) {
  return database.value(
      "SELECT count(*) FROM (SELECT FROM public.journal GROUP BY schema, revision "
      "HAVING count(*) <> 1) AS many");
}

}  // namespace

TEST_SUITE("cli/signals") {
  TEST_CASE("SIGINT cancels what runs, keeps nothing half-done, and the run can be repeated") {
    for (const int signal : {SIGINT, SIGTERM}) {
      CAPTURE(signal);
      Project project;
      project.create_tenants(3);
      project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
      project.write("tenant/0002_slow.sql", "CREATE TABLE b (id int);\nSELECT pg_sleep(60);");
      auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
      REQUIRE(becomes_true(project.database,
                           "SELECT count(*) >= 2 FROM pg_stat_activity WHERE query LIKE "
                           "'SELECT pg_sleep%' AND datname = current_database()"));
      process.kill(signal);
      const auto run = process.wait(20s);
      CHECK(fault(run, 130, {"interrupted"}) == "");
      CHECK(project.database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                   "'SELECT pg_sleep%' AND state = 'active' AND "
                                   "datname = current_database()") == "0");
      CHECK(project.revision_of("t001") == "0001_a");
      CHECK_FALSE(project.has_table("t001", "b"));

      project.write("tenant/0002_slow.sql", "CREATE TABLE b (id int);");
      CHECK(fault(project.run({"upgrade-all"}), 0) == "");
      CHECK(fault(project.run({"check"}), 0) == "");
    }
  }

  TEST_CASE("what stopped outside a transaction waits for a person's word") {
    Project project;
    project.create_tenants(1);
    project.write_raw("tenant/0001_slow.sql",
                      "-- migrate:up transaction:false\nCREATE TABLE a (id int);\n"
                      "SELECT pg_sleep(60);\n");
    const std::string sleeping =
        "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND "
        "datname = current_database()";
    auto process = project.tool.start({"upgrade", "--schema", "t001"});
    REQUIRE(becomes_true(project.database, "SELECT count(*) = 1 " + sleeping));
    process.kill(SIGKILL);
    process.wait(20s);
    project.database.execute("SELECT pg_terminate_backend(pid) " + sleeping);
    REQUIRE(becomes_true(project.database, "SELECT count(*) = 0 " + sleeping));

    CHECK(fault(project.run({"upgrade-all"}), 1, {"0001_slow", "tenantctl resolve"}) == "");
    CHECK(fault(project.run({"check"}), 4) == "");
    CHECK(fault(project.run({"resolve", "1", "--schema", "t001"}), 2,
                {"resolve needs --applied or --reverted"}) == "");
    const auto run =
        project.run({"resolve", "1", "--schema", "t001", "--applied", "--output", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(schema_errors(run.out, source_folder() / "tests/schemas/resolve.schema.json") == "");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"unchanged"}) == "");
  }

  TEST_CASE("kill -9 in the middle: run again completes, and nothing is doubled") {
    Project project;
    const auto tenants = project.create_tenants(60);
    write_journal(project, 3, "SELECT pg_sleep(0.01);\n");
    auto process = project.tool.start({"upgrade-all"});
    REQUIRE(becomes_true(project.database, "SELECT count(*) >= 40 FROM public.journal"));
    process.kill(SIGKILL);
    process.wait(20s);
    const auto done = std::stoi(project.database.value("SELECT count(*) FROM public.journal"));
    CHECK(done < 180);

    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(project.database.value("SELECT count(*) FROM public.journal") == "180");
    CHECK(doubled(project.database) == "0");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("killed in a long statement: within seconds the server gives it up and its locks") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_slow.sql", "CREATE TABLE a (id int);\nSELECT pg_sleep(60);");
    if (std::stoi(project.database.value("SHOW server_version_num")) < 140000)
      return;
    const std::string ours =
        "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE "
        "'tenantctl/%'";
    auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
    REQUIRE(becomes_true(project.database,
                         "SELECT count(*) = 2 " + ours + " AND query LIKE 'SELECT pg_sleep%'"));
    process.kill(SIGKILL);
    process.wait(20s);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(becomes_true(project.database, "SELECT count(*) = 0 " + ours));
    CHECK(std::chrono::steady_clock::now() - begin < 5s);
    CHECK_FALSE(project.has_table("t001", "a"));
    project.write("tenant/0001_slow.sql", "CREATE TABLE a (id int);");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 applied"}) == "");
  }

  TEST_CASE("two runs at once both end well, and every revision runs once per schema") {
    Project project;
    project.create_tenants(100);
    write_journal(project, 2);
    auto first = project.tool.start({"upgrade-all"});
    auto second = project.tool.start({"upgrade-all"});
    CHECK(fault(first.wait(60s), 0) == "");
    CHECK(fault(second.wait(60s), 0) == "");
    CHECK(project.database.value("SELECT count(*) FROM public.journal") == "200");
    CHECK(doubled(project.database) == "0");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("two that make the same tenant at once make it once") {
    Project project;
    write_journal(project, 2, "SELECT pg_sleep(0.05);\n");
    auto first = project.tool.start({"upgrade", "--create", "--schema", "acme"});
    auto second = project.tool.start({"upgrade", "--create", "--schema", "acme"});
    CHECK(fault(first.wait(60s), 0) == "");
    CHECK(fault(second.wait(60s), 0) == "");
    CHECK(doubled(project.database) == "0");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("two first upgrades of the shared scope at once make it once") {
    Project project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);\nSELECT pg_sleep(0.05);");
    auto first = project.tool.start({"upgrade-all"});
    auto second = project.tool.start({"upgrade-all"});
    CHECK(fault(first.wait(60s), 0) == "");
    CHECK(fault(second.wait(60s), 0) == "");
    CHECK(project.database.value("SELECT count(*) FROM shared.tenantctl_version") == "1");
  }
}
