#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "support/journal.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// Two tenants, and a run that has a table of its last revision made in t001 and sleeps there.
struct Busy : Project {
  explicit Busy(const std::string& seconds) {
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    create_tenants(2);
    write("tenant/0002_b.sql",
          "CREATE TABLE b (id int);\nSELECT pg_sleep(CASE WHEN :'schema' = "
          "'t001' THEN " +
              seconds + " ELSE 0 END);");
  }

  RunningProcess start() {
    auto process = tool.start({"upgrade-all", "--jobs", "2"});
    REQUIRE(becomes_true(database,
                         "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE "
                         "'SELECT pg_sleep%''t001''%' AND state = 'active' AND "
                         "datname = current_database())"));
    return process;
  }
};

}  // namespace

TEST_SUITE("cli/meanwhile") {
  TEST_CASE("a tenant cannot be dropped under its revision, and readers are not kept waiting") {
    Busy project("8");
    auto process = project.start();
    CHECK_THROWS_WITH(
        project.database.execute("SET LOCAL lock_timeout = '300ms'; DROP SCHEMA t001 CASCADE"),
        doctest::Contains("lock timeout"));
    CHECK(fault(project.run({"status", "--deep"}), 0, {"0001_a"}) == "");
    project.database.execute("DROP SCHEMA t001 CASCADE");
    CHECK(fault(process.wait(30s), 0, {"2 applied"}) == "");
    CHECK_FALSE(project.has_schema("t001"));
    CHECK(project.revision_of("t002") == "0002_b");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"unchanged"}) == "");
  }

  TEST_CASE("a tenant that is renamed under its revision keeps nothing of it, and is no new one") {
    Busy project("1");
    auto process = project.start();
    project.database.execute("ALTER SCHEMA t001 RENAME TO acme");
    const auto run = process.wait(30s);
    CAPTURE(run.out);
    CAPTURE(run.err);
    CHECK((run.exit_code == 0 || run.exit_code == 1));
    CHECK_FALSE(project.has_schema("t001"));
    CHECK(project.has_table("acme", "b") == (project.revision_of("acme") == "0002_b"));
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(project.revision_of("acme") == "0002_b");
    CHECK(project.database.value("SELECT count(*) FROM acme.tenantctl_version") == "2");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }
}
