#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;

namespace {

std::string view(const std::string& value) {
  return "CREATE OR REPLACE VIEW totals AS SELECT '" + value + "'::text AS value;\n";
}

// Two revisions and a repeatable, and two tenants that have them.
struct ViewProject : Project {
  ViewProject() {
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    write_raw("tenant/repeatable/totals.sql", view("first"));
    create_tenants(2);
  }

  std::string value(const std::string& schema) {
    return database.value("SELECT value FROM " + schema + ".totals");
  }
};

}  // namespace

TEST_SUITE("cli/repeatable") {
  TEST_CASE("a repeatable follows its file through the fleet") {
    ViewProject project;
    CHECK(project.value("t002") == "first");
    CHECK(fault(project.run({"check"}), 0, {"2 revisions, 1 repeatable, head 0002_b"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 unchanged"}) == "");
    project.write_raw("tenant/repeatable/totals.sql", view("second"));
    project.write_raw("tenant/repeatable/more.sql", "CREATE OR REPLACE VIEW more AS SELECT 1;\n");
    CHECK(fault(project.run({"check"}), 4, {"0002_b          2  2 repeatables\n"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--dry-run"}), 0,
                {"\n  repeatable more\n  repeatable totals, changed\n"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 0,
                {"t001: applied, at 0002_b (2 repeatables)"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"1 applied, 1 unchanged"}) == "");
    CHECK(project.value("t002") == "second");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("a failing repeatable is told with its place, and the others go on") {
    ViewProject project;
    project.write_raw("tenant/repeatable/totals.sql", view("second") +
                                                          "SELECT 1 / (SELECT count(*) "
                                                          "- 1 FROM b);\n");
    project.database.execute("INSERT INTO t001.b VALUES (1)");
    CHECK(fault(project.run({"upgrade-all"}), 1,
                {"1 applied, 1 failed",
                 "tenantctl: t001: repeatable totals failed: division by zero (SQLSTATE 22012)",
                 "migrations/tenant/repeatable/totals.sql:2"}) == "");
    CHECK(project.value("t001") == "first");
    CHECK(project.value("t002") == "second");
  }

  TEST_CASE("history, current and show know repeatables") {
    ViewProject project;
    project.write_raw("tenant/repeatable/totals.sql", view("second"));
    project.write_raw("tenant/repeatable/gone.sql", "SELECT 1;\n");
    project.write_raw("tenant/repeatable/new.sql", "SELECT 1;\n");
    CHECK(fault(project.run({"history"}), 0, {"-     totals  repeatable\n"}) == "");
    project.must({"upgrade", "--schema", "t002"});
    project.write_raw("tenant/repeatable/new.sql", "SELECT 2;\n");
    project.remove("tenant/repeatable/gone.sql");
    CHECK(fault(project.run({"history", "--schema", "t002"}), 0,
                {"0001  a       applied", "-     new     pending, changed since  repeatable\n",
                 "-     totals  applied                 repeatable\n",
                 "-     gone    applied, file gone      repeatable\n"}) == "");
    CHECK(fault(project.run({"current", "--schema", "t001", "--schema", "t002"}), 0,
                {"t001  0002_b  2 applied, 0 pending; 2 repeatables, 2 pending\n",
                 "t002  0002_b  2 applied, 0 pending; 3 repeatables, 1 pending\n"}) == "");
    CHECK(fault(project.run({"show", "totals"}), 0,
                {"repeatable totals\n", "down      none: applied again when it changes\n",
                 "SELECT 'second'::text"}) == "");
  }

  TEST_CASE("a file that is gone is no reason for check to complain") {
    ViewProject project;
    project.remove("tenant/repeatable/totals.sql");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all", "--dry-run"}), 0, {"  forget 1 repeatable\n"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 applied"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 unchanged"}) == "");
    CHECK(project.value("t001") == "first");
  }

  TEST_CASE("a downgrade forgets repeatables and says so before") {
    ViewProject project;
    CHECK(fault(project.run({"downgrade-all", "-1", "--dry-run"}), 0,
                {"down 0002_b, forget 1 repeatable"}) == "");
    project.must({"downgrade-all", "-1", "--yes"});
    CHECK(fault(project.run({"status"}), 0, {"0001_a          2  1 + 1 repeatable\n"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 0, {"(1 revision, 1 repeatable)"}) ==
          "");
  }

  TEST_CASE("the SQL of a repeatable can be seen without running it") {
    ViewProject project;
    project.write_raw("tenant/repeatable/totals.sql", view("second"));
    CHECK(fault(project.run({"upgrade-all", "--sql"}), 0,
                {"SELECT 'second'::text AS value;",
                 "UPDATE \"t001\".\"tenantctl_version\" SET guard"
                 " = 0"}) == "");
    CHECK(fault(project.run({"upgrade", "--sql", "--from", "0002", "--schema", "x"}), 0,
                {"SELECT 'second'::text AS value;"}) == "");
    CHECK(project.value("t001") == "first");
  }

  TEST_CASE("both scopes have repeatables, also without any revision") {
    Project project;
    project.write_raw("shared/repeatable/one.sql",
                      "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';\n");
    CHECK(fault(project.run({"check"}), 4, {"1 repeatable"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"shared: applied, at base (1 repeatable)"}) ==
          "");
    CHECK(project.database.value("SELECT shared.one()") == "1");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("revision --repeatable writes a file that is one") {
    ViewProject project;
    CHECK(fault(project.run({"revision", "Open invoices", "--scope", "tenant", "--repeatable"}), 0,
                {"migrations/tenant/repeatable/open_invoices.sql\n"}) == "");
    CHECK(fault(project.run({"history"}), 0, {"open_invoices"}) == "");
    CHECK(fault(project.run({"revision", "open invoices", "--scope", "tenant", "--repeatable"}), 2,
                {"open_invoices.sql is there already"}) == "");
    CHECK(fault(project.run(
                    {"revision", "x", "--scope", "tenant", "--repeatable", "--no-transaction"}),
                2, {"a repeatable runs in a transaction"}) == "");
  }

  TEST_CASE("documents with repeatables fit their schemas") {
    ViewProject project;
    std::vector<Judged> documents;
    const auto judge = [&](std::vector<std::string> args, const std::string& name) {
      args.insert(args.end(), {"--output", "json"});
      documents.push_back(
          {project.run(args).out, source_folder() / ("tests/schemas/" + name + ".schema.json")});
      return nlohmann::json::parse(documents.back().document);
    };
    project.write_raw("tenant/repeatable/totals.sql", view("second"));
    project.write_raw("tenant/repeatable/new.sql", "SELECT 1;\n");
    CHECK(judge({"check"}, "check")["scopes"][0]["groups"][0]["repeatables"] == 2);
    CHECK(judge({"status"}, "status")["scopes"][0]["repeatables"] == 2);
    CHECK(judge({"current", "--schema", "t001"},
                "current")["schemas"][0]["repeatables"]["pending"] == 2);
    CHECK(judge({"history", "--schema", "t001"}, "history")["repeatables"][1]["state"] ==
          "pending, changed since");
    CHECK(judge({"history"}, "history")["repeatables"].size() == 2);
    const auto shown = judge({"show", "totals"}, "show");
    CHECK(shown["repeatable"] == true);
    CHECK_FALSE(shown.contains("number"));
    CHECK(judge({"show", "1"}, "show")["number"] == 1);
    const auto plan = judge({"upgrade-all", "--dry-run"}, "upgrade-all");
    CHECK(plan["tenants"][0]["steps"][1]["repeatable"] == true);
    const auto run = judge({"upgrade", "--schema", "t001"}, "upgrade");
    CHECK(run["tenants"]["schemas"][0]["repeatables"] == 2);
    CHECK(run["tenants"]["schemas"][0]["steps"] == 2);
    const auto back = judge({"downgrade", "-1", "--schema", "t001", "--dry-run"}, "downgrade");
    CHECK(back["tenants"][0]["steps"][0]["forgets"] == 2);
    project.remove("tenant/repeatable/new.sql");
    CHECK(judge({"history", "--schema", "t001"}, "history")["repeatables"][1]["state"] ==
          "applied, file gone");
    judge({"upgrade-all", "--dry-run"}, "upgrade-all");
    judge({"revision", "x", "--scope", "shared", "--repeatable"}, "revision");
    CHECK(schema_errors(documents) == "");
  }
}

TEST_SUITE("cli/requires") {
  TEST_CASE("a revision that requires the shared scope waits for it") {
    Project project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);", "DROP TABLE x;");
    project.write("shared/0002_y.sql", "CREATE TABLE y (id int);", "DROP TABLE y;");
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.must({"upgrade", "0001", "--scope", "shared"});
    project.create_tenants(2);
    project.write("tenant/0002_b.sql",
                  "-- tenantctl: requires shared 0002\nCREATE TABLE b (LIKE shared.y);");
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--schema", "t002"}), 1,
                {"2 failed",
                 "2 schemas: 0002_b requires revision 2 of the shared scope, which is not applied "
                 "there\n",
                 "migrations/tenant/versions/0002_b.sql:2\n",
                 "HINT: Bring the shared scope forward first: tenantctl upgrade --scope "
                 "shared."}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--dry-run"}), 1,
                {"failed: 0002_b requires revision 2"}) == "");
    CHECK(fault(project.run({"tenant", "create", "t003"}), 1, {"requires revision 2"}) == "");
    CHECK_FALSE(project.has_schema("t003"));
    CHECK(fault(project.run({"upgrade", "0001", "--schema", "t001"}), 0, {"unchanged"}) == "");
    // The shared scope goes first, so that what it will have counts.
    CHECK(fault(project.run({"upgrade-all", "--dry-run"}), 0, {"up 0002_b"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 applied"}) == "");
    CHECK(fault(project.run({"tenant", "create", "t003"}), 0) == "");
    CHECK(project.has_table("t003", "b"));
  }

  TEST_CASE("a requirement that nobody can meet is a finding before any connection") {
    Project project;
    project.write("shared/0001_x.sql", "SELECT 1;");
    project.write("tenant/0001_a.sql", "SELECT 1;\n-- tenantctl: requires shared 7");
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    CHECK(
        fault(project.run({"upgrade-all"}), 2,
              {"migrations/tenant/versions/0001_a.sql:3: requires the shared revision 0007, which "
               "is not in the folder"}) == "");
  }

  TEST_CASE("where nothing requires it the shared scope is not read") {
    Project project;
    project.write("tenant/0001_a.sql", "SELECT 1;");
    project.write("shared/0001_x.sql", "SELECT 1;");
    project.database.execute("CREATE SCHEMA shared; CREATE TABLE shared.tenantctl_version ()");
    CHECK(fault(project.run({"tenant", "create", "t001"}), 0) == "");
    project.write("tenant/0002_b.sql", "-- tenantctl: requires shared 1\nSELECT 1;");
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 1, {"requires revision 1"}) == "");
  }
}
