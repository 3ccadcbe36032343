#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/project.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/upgrade-all") {
  TEST_CASE("the shared scope comes first, then every tenant") {
    Project project;
    project.create_tenants(3);
    project.write("shared/0001_orgs.sql", "CREATE TABLE orgs (id int PRIMARY KEY);");
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE a (org int REFERENCES :\"shared_schema\".orgs (id));");
    CHECK(fault(project.run({"upgrade-all"}), 0,
                {"shared   shared: applied, at 0001_orgs (1 revision)\n",
                 "tenants  3 applied (3 schemas in "}) == "");
    CHECK(project.has_table("t003", "a"));
  }

  TEST_CASE("nothing to do and no tenant at all are successes") {
    Project project;
    CHECK(fault(project.run({"upgrade-all"}), 0, {"tenants  none: nothing to do\n"}) == "");
    project.write_abc();
    CHECK(fault(project.run({"upgrade-all"}), 0, {"tenants  none: nothing to do\n"}) == "");
    project.create_tenants(2);
    CHECK(fault(project.run({"upgrade-all"}), 0, {"tenants  2 unchanged"}) == "");
    CHECK_FALSE(project.has_schema("shared"));
  }

  TEST_CASE("TARGET is about tenants; what they share goes to its head") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write("shared/0002_y.sql", "CREATE TABLE y (id int);");
    CHECK(fault(project.run({"upgrade-all", "0002"}), 0, {"shared: applied, at 0002_y"}) == "");
    CHECK(project.revision_of("t001") == "0002_b");
    CHECK(fault(project.run({"upgrade-all", "+1"}), 0) == "");
    CHECK(project.revision_of("t002") == "0003_c");
  }

  TEST_CASE("a failed tenant stops no other, and failures are grouped by cause with names") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.create_tenants(6);
    project.database.execute(
        "INSERT INTO t002.a VALUES (1), (1); INSERT INTO t005.a VALUES (2), (2);"
        "CREATE TABLE t004.b (id int)");
    project.write("tenant/0002_unique.sql", "CREATE UNIQUE INDEX a_id ON a (id);");
    project.write("tenant/0003_b.sql", "\n\nCREATE TABLE b (id int);");
    const auto run = project.run({"upgrade-all"});
    CHECK(
        fault(run, 1,
              {"tenants  3 applied, 3 failed (6 schemas in ",
               "2 schemas: upgrade of revision 0002_unique failed: could not create unique index",
               "(SQLSTATE 23505)\n", "migrations/tenant/versions/0002_unique.sql:2", "t002, t005\n",
               "t004: upgrade of revision 0003_b failed: relation \"b\" already exists",
               "migrations/tenant/versions/0003_b.sql:4"}) == "");
    // Most schemas first.
    CHECK(run.err.find("0002_unique") < run.err.find("0003_b"));
    CHECK(project.revision_of("t002") == "0001_a");
    CHECK(project.revision_of("t004") == "0002_unique");
    CHECK(project.revision_of("t006") == "0003_b");

    // Mended, the same command finishes it.
    project.database.execute("TRUNCATE t002.a, t005.a; DROP TABLE t004.b");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"3 applied, 3 unchanged"}) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("nothing of a failed revision is kept") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/0001_half.sql",
                  "CREATE TABLE first (id int);\nINSERT INTO first VALUES (1);\nSELECT 1 / 0;");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"division by zero", "0001_half.sql:4"}) == "");
    CHECK_FALSE(project.has_table("t001", "first"));
    CHECK(project.revision_of("t001") == "base");
  }

  TEST_CASE("a failure of the shared scope keeps every tenant untouched") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write("shared/0002_bad.sql", "SELECT nothing FROM nowhere;");
    CHECK(fault(project.run({"upgrade-all"}), 1,
                {"shared   shared: failed, at 0001_x (1 revision)",
                 "relation \"nowhere\" does not exist", "tenants  2 not-started",
                 "the shared scope did not reach its target"}) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK(project.has_table("shared", "x"));
  }

  TEST_CASE("several connections do the same as one") {
    Project project;
    project.create_tenants(12);
    project.write_abc();
    CHECK(fault(project.run({"upgrade-all", "--jobs", "1"}), 0, {"12 applied"}) == "");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    CHECK(fault(project.run({"upgrade-all", "--jobs", "6"}), 0, {"12 applied"}) == "");
    CHECK(project.database.value("SELECT count(DISTINCT obj_description(oid, 'pg_class')) FROM "
                                 "pg_class WHERE relname = 'tenantctl_version'") == "1");
  }

  TEST_CASE("a lock that somebody holds costs that tenant alone, and is told") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.create_tenants(3);
    project.write("tenant/0002_more.sql", "ALTER TABLE a ADD COLUMN more int;");
    project.database.execute("BEGIN; LOCK TABLE t002.a");
    const auto run = project.run({"upgrade-all", "--lock-timeout", "50ms", "--tries", "2"});
    project.database.execute("ROLLBACK");
    CHECK(fault(run, 1, {"2 applied, 1 busy", "t002: busy"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"1 applied, 2 unchanged"}) == "");
  }

  TEST_CASE("the one named schema staying busy is exit 3") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.create_tenants(1);
    project.write("tenant/0002_more.sql", "ALTER TABLE a ADD COLUMN more int;");
    project.database.execute("BEGIN; LOCK TABLE t001.a");
    CHECK(fault(project.run(
                    {"upgrade", "--schema", "t001", "--lock-timeout", "20ms", "--tries", "1"}),
                3, {"t001: busy"}) == "");
    project.database.execute("ROLLBACK");
  }
}

TEST_SUITE("cli/selection") {
  // Names of the schemas that a dry run would touch.
  std::vector<std::string> chosen(const Finished& finished) {
    std::vector<std::string> names;
    const auto json = nlohmann::json::parse(finished.out, nullptr, false);
    if (json.is_discarded() || !json.contains("tenants"))
      return {fault(finished, 0)};
    for (const auto& group : json["tenants"]) {
      for (const auto& schema : group["schemas"])
        names.push_back(schema);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  using Names = std::vector<std::string>;

  TEST_CASE("patterns, exclusions, names and files choose tenants") {
    Project project;
    project.must({"tenant", "create", "blue_1", "blue_2", "red_1", "red_10"});
    project.write_abc();
    const auto select = [&](Names args, const std::string& input = {}) {
      args.insert(args.begin(), {"upgrade-all", "--dry-run", "--output", "json"});
      return chosen(project.run(args, input));
    };
    CHECK(select({}) == Names{"blue_1", "blue_2", "red_1", "red_10"});
    CHECK(select({"--tenants", "blue*"}) == Names{"blue_1", "blue_2"});
    CHECK(select({"--tenants", "*_1"}) == Names{"blue_1", "red_1"});
    CHECK(select({"--tenants", "red_?"}) == Names{"red_1"});
    CHECK(select({"--tenants", "blue*", "--tenants", "red_1"}) ==
          Names{"blue_1", "blue_2", "red_1"});
    CHECK(select({"--exclude", "red*"}) == Names{"blue_1", "blue_2"});
    CHECK(select({"--tenants", "red*", "--exclude", "*0"}) == Names{"red_1"});
    CHECK(select({"--schema", "red_1", "--schema", "blue_2"}) == Names{"blue_2", "red_1"});
    CHECK(select({"--tenants-file", "-"}, "red_10\n# no\n\nblue_1\r\n") ==
          Names{"blue_1", "red_10"});
    project.tool.folder().write("names", "red_1\n");
    CHECK(select({"--tenants-file", "names"}) == Names{"red_1"});

    project.must({"upgrade", "--schema", "red_1", "--schema", "blue_1"});
    CHECK(select({"--only-behind"}) == Names{"blue_2", "red_10"});
    CHECK(select({"--only-behind", "--tenants", "red*"}) == Names{"red_10"});
  }

  TEST_CASE("a selection that matches nothing is a mistake") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    for (const auto* const command : {"upgrade-all", "status", "check"}) {
      CAPTURE(command);
      CHECK(fault(project.run({command, "--tenants", "nope*"}), 2,
                  {"the selection matches no tenant", "HINT: tenantctl tenant list"}) == "");
      CHECK(fault(project.run({command, "--exclude", "t*"}), 2) == "");
      CHECK(fault(project.run({command, "--schema", "nope"}), 2, {"there is no tenant \"nope\""}) ==
            "");
    }
    CHECK(fault(project.run({"upgrade-all", "--tenants-file", "-"}, "\n# nobody\n"), 2,
                {"the tenants file names no schema"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--tenants-file", "missing"}), 2,
                {"cannot read the tenants file missing"}) == "");
    CHECK(fault(project.run({"downgrade-all", "base", "--yes", "--tenants", "nope"}), 2) == "");
    CHECK(project.revision_of("t001") == "0003_c");
  }

  TEST_CASE("nobody behind is a success") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    CHECK(fault(project.run({"upgrade-all", "--only-behind"}), 0) == "");
    CHECK(fault(project.run({"status", "--only-behind"}), 0) == "");
  }

  TEST_CASE("the application's own table tells the tenants") {
    Project project;
    project.create_tenants(3);
    project.write_abc();
    project.database.execute(
        "CREATE TABLE public.customers (schema text, active bool);"
        "INSERT INTO public.customers VALUES ('t001', true), ('t002', false), ('t009', true)");
    const std::string query = "SELECT schema FROM public.customers WHERE active";
    CHECK(fault(project.run({"upgrade-all", "--tenants-query", query}), 1,
                {"tenants  1 applied, 1 missing", "t009: missing"}) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(project.revision_of("t002") == "base");
    CHECK_FALSE(project.has_schema("t009"));
    CHECK_FALSE(project.has_table("public", "a"));
    CHECK(fault(project.run({"status", "--tenants-query", query}), 0, {"missing"}) == "");
    CHECK(fault(project.run({"check", "--tenants-query", query}), 4) == "");
    project.database.execute("DELETE FROM public.customers WHERE schema = 't009'");
    CHECK(fault(project.run({"check", "--tenants-query", query}), 0) == "");
  }

  TEST_CASE("a tenants query that fails or is none is an error that names it") {
    Project project;
    CHECK(fault(project.run({"upgrade-all", "--tenants-query", "SELECT x FROM nowhere"}), 2,
                {"the tenants query failed: relation \"nowhere\" does not exist"}) == "");
    CHECK(project.run({"upgrade-all", "--tenants-query", "DROP SCHEMA public"}).exit_code != 0);
    CHECK(project.has_schema("public"));
  }
}
