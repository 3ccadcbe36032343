#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {

Finished psql(const std::string& conninfo, const std::string& sql) {
  const char* const folder = std::getenv("PGBIN");
  std::string program = folder == nullptr ? "psql" : std::string(folder) + "/psql";
  // The servers of scripts/setup --postgres come without it; any version's will do.
  if (!std::filesystem::exists(program))
    program = "psql";
  return run_process({program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-f", "-"},
                     {.input = sql});
}

// All that makes up a schema's history, but for what differs from run to run.
std::vector<std::vector<std::string>> recorded(TestDatabase& database, const std::string& schema) {
  auto rows = database.rows(
      "SELECT position, revision, name, checksum, digest, state, guard, origin, tool_version, "
      "xid IS NOT NULL, duration IS NOT NULL, applied_by FROM " +
      schema + ".tenantctl_version ORDER BY position");
  rows.push_back({database.value("SELECT obj_description('" + schema +
                                 ".tenantctl_version'::regclass, 'pg_class')")});
  return rows;
}

}  // namespace

TEST_SUITE("cli/dry run") {
  TEST_CASE("the plan is told per group, and nothing is touched") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    project.create_tenants(3);
    project.write_abc();
    project.must({"upgrade", "+1", "--schema", "t002"});
    CHECK(fault(project.run({"upgrade-all", "--dry-run"}), 0,
                {"2 schemas at revision 1\n  = t001, t003\n  up 0002_b\n  up 0003_c\n",
                 "1 schema at revision 2\n  = t002\n  up 0003_c\n"}) == "");
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t002", "-n"}), 0,
                {"down 0002_b\n  down 0001_a\n"}) == "");
    CHECK(project.revision_of("t001") == "0001_a");
    CHECK(project.revision_of("t002") == "0002_b");
  }

  TEST_CASE("the first plan says what would be made") {
    Project project;
    project.write_abc();
    CHECK(fault(project.run({"upgrade", "--create", "--schema", "acme", "-n"}), 0,
                {"to be created\n  = acme\n  up 0001_a\n"}) == "");
    CHECK_FALSE(project.has_schema("acme"));
  }

  TEST_CASE("as JSON it has every step with its checksum") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    const auto run = project.run({"upgrade-all", "-n", "-o", "json"});
    REQUIRE(fault(run, 0) == "");
    const auto group = nlohmann::json::parse(run.out)["tenants"][0];
    CHECK(group["from"] == 3);
    CHECK(group["to"] == 4);
    CHECK(group["steps"][0]["revision"] == "0004_d");
    CHECK(group["steps"][0]["checksum"].get<std::string>().starts_with("sha256:"));
  }

  TEST_CASE("what stands in the way makes the dry run fail too") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id bigint);");
    CHECK(fault(project.run({"upgrade-all", "-n"}), 1, {"0001_a was edited"}) == "");
  }
}

TEST_SUITE("cli/sql") {
  TEST_CASE("through psql it does what the tool does") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE a (t text);\n"
                  "INSERT INTO a VALUES ('a;b'), ($$c;\nd$$), ('$1'), (:'schema');\n"
                  "CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $f$\n"
                  "BEGIN\n  RETURN 1; -- one;\nEND $f$;");
    project.write_raw("tenant/0002_index.sql",
                      "-- migrate:up transaction:false\n"
                      "CREATE INDEX CONCURRENTLY a_t ON a (t);\n");
    project.write("tenant/0003_last.sql", "ALTER TABLE a ADD COLUMN n int DEFAULT one() -- end");
    const auto sql = project.run({"upgrade", "--schema", "t001", "--sql"});
    REQUIRE(fault(sql, 0) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK(fault(psql(project.database.conninfo(), sql.out), 0) == "");
    project.must({"upgrade", "--schema", "t002"});
    CHECK(recorded(project.database, "t001") == recorded(project.database, "t002"));
    CHECK(project.database.value("SELECT count(*) FROM t001.a") == "4");
    CHECK(project.database.value("SELECT sum(n) FROM t001.a") == "4");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"current", "--schema", "t001"}), 0, {"3 applied, 0 pending"}) == "");
  }

  TEST_CASE("a new tenant can be made by psql too") {
    Project project;
    project.write_abc();
    const auto sql = project.run({"tenant", "create", "acme", "--sql"});
    REQUIRE(fault(sql, 0) == "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(fault(psql(project.database.conninfo(), sql.out), 0) == "");
    project.must({"tenant", "create", "other"});
    CHECK(recorded(project.database, "acme") == recorded(project.database, "other"));
  }

  TEST_CASE("a downgrade through psql is one too") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    const auto sql = project.run({"downgrade", "0001", "--schema", "t001", "--sql"});
    REQUIRE(fault(sql, 0) == "");
    CHECK(fault(psql(project.database.conninfo(), sql.out), 0) == "");
    project.must({"downgrade", "0001", "--schema", "t002", "--yes"});
    CHECK(recorded(project.database, "t001") == recorded(project.database, "t002"));
    CHECK_FALSE(project.has_table("t001", "b"));
  }

  TEST_CASE("run twice through psql it is refused the second time") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    const auto sql = project.run({"upgrade", "--schema", "t001", "--sql"});
    CHECK(fault(psql(project.database.conninfo(), sql.out), 0) == "");
    CHECK(fault(psql(project.database.conninfo(), sql.out), 3,
                {"the schema is not where the plan says"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM t001.tenantctl_version") == "3");
  }

  TEST_CASE("--from needs no server") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    project.must({"upgrade", "0001", "--schema", "t001"});
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    const auto sql = project.run({"upgrade", "--schema", "t001", "--sql", "--from", "0001"});
    REQUIRE(fault(sql, 0, {"CREATE TABLE b (id int);", "CREATE TABLE c (id int);"}) == "");
    CHECK_FALSE(contains(sql.out, "CREATE TABLE a "));
    CHECK(fault(psql(project.database.conninfo(), sql.out), 0) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    const auto back =
        project.run({"downgrade", "base", "--schema", "t001", "--sql", "--from", "head"});
    CHECK(fault(psql(project.database.conninfo(), back.out), 0) == "");
    CHECK(project.revision_of("t001") == "base");
    project.tool.set_variable("DATABASE_URL", project.database.conninfo());
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
  }

  TEST_CASE("--from is refused where it would be passed over") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--from", "0001"}), 2,
                {"--from needs --sql"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--sql", "--from", "0001"}), 2,
                {"upgrade-all does not take --from"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--sql", "--from", "77"}), 2,
                {"no tenant revision is called \"77\""}) == "");
  }
}

TEST_SUITE("cli/downgrade") {
  TEST_CASE("without a terminal it refuses unless --yes is given") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"downgrade", "-1", "--schema", "t001"}, "yes\n"), 2,
                {"downgrade asks before it acts, and this is not a terminal",
                 "HINT: Give --yes"}) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(fault(project.run({"downgrade", "-1", "--schema", "t001", "--yes"}), 0,
                {"t001: applied, at 0002_b (1 revision)"}) == "");
    CHECK_FALSE(project.has_table("t001", "c"));
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t001", "-y"}), 0) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t001", "-y"}), 0,
                {"unchanged, at base"}) == "");
  }

  TEST_CASE("on a terminal it asks, and only yes is yes") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    const auto answer = [&](const std::string& text) {
      return project.tool.run_in_terminal({"downgrade", "0001", "--schema", "t001"},
                                          {{"Type yes to go on: ", text}});
    };
    CHECK(fault(answer("no\n"), 2, {"Take t001 back to 0001?", "not confirmed"}) == "");
    CHECK(fault(answer("y\n"), 2) == "");
    CHECK(fault(answer("\n"), 2) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(fault(answer("yes\n"), 0, {"t001: applied, at 0001_a (2 revisions)"}) == "");
  }

  TEST_CASE("all tenants go back together, and what they share stays") {
    Project project;
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);", "DROP TABLE x;");
    project.must({"upgrade", "--scope", "shared"});
    project.create_tenants(3);
    CHECK(fault(project.run({"downgrade-all", "0001"}), 2, {"Give --yes"}) == "");
    CHECK(fault(project.run({"downgrade-all", "0001", "--yes"}), 0, {"3 applied"}) == "");
    CHECK(project.revision_of("t002") == "0001_a");
    CHECK(project.has_table("shared", "x"));
    const auto asked =
        project.tool.run_in_terminal({"downgrade-all", "base"}, {{"Type yes to go on: ", "yes\n"}});
    CHECK(fault(asked, 0, {"Take every selected tenant back to base?"}) == "");
    CHECK(project.revision_of("t003") == "base");
    CHECK(fault(project.run({"downgrade", "base", "--scope", "shared", "--yes"}), 0) == "");
    CHECK_FALSE(project.has_table("shared", "x"));
    CHECK(fault(project.run({"upgrade-all"}), 0, {"3 applied"}) == "");
  }

  TEST_CASE("a revision without a down section is irreversible and says so") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.create_tenants(1);
    const auto run = project.run({"downgrade", "base", "--schema", "t001", "--yes"});
    CHECK(run.exit_code != 0);
    CHECK(contains(run.err, "0001_a"));
    CHECK(project.revision_of("t001") == "0001_a");
  }

  TEST_CASE("a broken down stops exactly there, and a mended one goes on") {
    Project project;
    project.write_abc();
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "\nDROP TABLE bb;");
    project.create_tenants(1);
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t001", "--yes"}), 1,
                {"downgrade of revision 0002_b failed", "table \"bb\" does not exist",
                 "0002_b.sql:6"}) == "");
    CHECK(project.revision_of("t001") == "0002_b");
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "\nDROP TABLE b;");
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t001", "--yes"}), 0) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 't001'") ==
          "1");
  }
}

TEST_SUITE("cli/stamp") {
  TEST_CASE("rows are written and nothing runs") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    CHECK(fault(project.run({"stamp", "0002", "--schema", "t001"}), 0, {"at 0002_b"}) == "");
    CHECK_FALSE(project.has_table("t001", "a"));
    CHECK(project.database.value("SELECT string_agg(origin, ' ') FROM t001.tenantctl_version") ==
          "stamp stamp");
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 0, {"(1 revision)"}) == "");
    CHECK(fault(project.run({"stamp", "base", "--schema", "t001"}), 0, {"at base"}) == "");
    CHECK(project.has_table("t001", "c"));
    CHECK(fault(project.run({"stamp", "head", "--all"}), 0, {"2 applied"}) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("it gives a schema its version table, but makes no schema") {
    Project project;
    project.write_abc();
    project.database.execute("CREATE SCHEMA old");
    CHECK(fault(project.run({"stamp", "head", "--schema", "old"}), 0) == "");
    CHECK(project.revision_of("old") == "0003_c");
    CHECK(fault(project.run({"stamp", "head", "--schema", "nope"}), 2, {"does not exist"}) == "");
    CHECK(fault(project.run({"stamp", "head"}), 2, {"stamp needs a schema"}) == "");
  }
}
