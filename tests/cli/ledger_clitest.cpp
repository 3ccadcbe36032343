#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "support/document.h"
#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

// The newest run's id.
std::string newest(const Project& project) {
  return document(project.run({"runs", "--limit", "1", "-o", "json"}))["runs"][0]["run_id"];
}

// Every version row but those of `schemas`, with the run that wrote it and when.
std::string rows_besides(Project& project, const std::set<std::string>& schemas) {
  std::string text;
  for (const auto& row : project.database.rows(
           "SELECT nspname FROM pg_namespace WHERE nspname ~ '^t[0-9]' ORDER BY 1")) {
    if (schemas.contains(row[0]))
      continue;
    text += row[0] + ": " +
            project.database.value("SELECT string_agg(v::text, ' ' ORDER BY position) FROM " +
                                   row[0] + ".tenantctl_version v") +
            "\n";
  }
  return text;
}

// Forty tenants at 0001, eleven of them in the way of 0002 and 0003 in three ways.
struct BrokenFleet : Project {
  BrokenFleet() {
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    create_tenants(40);
    for (const char* const name : {"t002", "t011", "t020", "t029", "t038"})
      database.execute("INSERT INTO " + std::string(name) + ".a VALUES (1), (1)");
    for (const char* const name : {"t003", "t013", "t023", "t033"})
      database.execute("CREATE TABLE " + std::string(name) + ".c (id int)");
    for (const char* const name : {"t007", "t017"})
      database.execute("ALTER TABLE " + std::string(name) + ".a RENAME TO z");
    write("shared/0001_x.sql", "CREATE TABLE x (id int);", "DROP TABLE x;");
    write("tenant/0002_b.sql", "CREATE UNIQUE INDEX a_id ON a (id);", "DROP INDEX a_id;");
    write("tenant/0003_c.sql", "CREATE TABLE c (id int);", "DROP TABLE c;");
  }

  void mend() {
    for (const auto& name : duplicated)
      database.execute("TRUNCATE " + name + ".a");
    for (const auto& name : occupied)
      database.execute("DROP TABLE " + name + ".c");
    for (const auto& name : renamed)
      database.execute("ALTER TABLE " + name + ".z RENAME TO a");
  }

  std::set<std::string> broken() const {
    std::set<std::string> all(duplicated.begin(), duplicated.end());
    all.insert(occupied.begin(), occupied.end());
    all.insert(renamed.begin(), renamed.end());
    return all;
  }

  std::vector<std::string> duplicated{"t002", "t011", "t020", "t029", "t038"};
  std::vector<std::string> occupied{"t003", "t013", "t023", "t033"};
  std::vector<std::string> renamed{"t007", "t017"};
};

}  // namespace

TEST_SUITE("cli/ledger") {
  TEST_CASE("a run that fails in three ways is kept as it was reported") {
    BrokenFleet project;
    const auto run = project.run({"upgrade-all", "-o", "json"});
    REQUIRE(run.exit_code == 1);
    const json report = document(run);
    CHECK(report["recorded"] == true);
    const std::string id = report["run_id"];

    const auto list = project.run({"runs", "-o", "json"});
    CHECK(judged(list, "runs") == "");
    const json entry = document(list)["runs"][0];
    CHECK(entry["run_id"] == id);
    CHECK(entry["command"] == "upgrade-all");
    CHECK(entry["state"] == "failed");
    CHECK(entry["counts"]["tenants"] == report["tenants"]["counts"]);
    CHECK(entry["counts"]["shared"] == report["shared"]["counts"]);
    CHECK(entry["counts"]["tenants"]["applied"] == 29);

    const auto show = project.run({"runs", "show", id.substr(0, 8), "-o", "json"});
    CHECK(judged(show, "runs-show") == "");
    const json details = document(show);
    REQUIRE(details["tenants"]["causes"].size() == 3);
    CHECK(details["tenants"]["schemas"].size() == 11);
    CHECK(details["tenants"]["causes"][0]["schemas"] == json(project.duplicated));
    CHECK(details["tenants"]["causes"][0]["failure"]["sqlstate"] == "23505");
    CHECK(details["tenants"]["causes"][0]["failure"]["place"]["line"] == 2);
    CHECK(details["tenants"]["causes"][1]["schemas"] == json(project.occupied));
    CHECK(details["unfinished"].size() == 11);
    CHECK(details["plan"][1]["revisions"] == json{"0002_b", "0003_c"});
    const json all = document(project.run({"runs", "show", id, "--all", "-o", "json"}));
    CHECK(all["tenants"]["schemas"].size() == 40);
    CHECK(fault(project.run({"runs", "show", id}), 0,
                {"tenants  29 applied, 11 failed", "t003, t013, t023, t033",
                 "HINT: tenantctl retry " + id.substr(0, 8)}) == "");
    CHECK(fault(project.run({"status", "--only-failed", id}), 0, {"t038"}) == "");
  }

  TEST_CASE("retry finishes what failed and touches nothing else") {
    BrokenFleet project;
    REQUIRE(project.run({"upgrade-all"}).exit_code == 1);
    const std::string id = newest(project);
    project.mend();
    const std::string before = rows_besides(project, project.broken());
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);", "DROP TABLE d;");
    project.write("shared/0002_y.sql", "CREATE TABLE y (id int);", "DROP TABLE y;");
    const auto retried = project.run({"retry", id.substr(0, 10), "-o", "json"});
    CHECK(fault(retried, 0) == "");
    CHECK(judged(retried, "retry") == "");
    const json report = document(retried);
    CHECK(report["of_run"] == id);
    CHECK(report["tenants"]["counts"]["applied"] == 11);
    CHECK_FALSE(report.contains("shared"));
    CHECK(rows_besides(project, project.broken()) == before);
    for (const auto& name : project.broken())
      CHECK(project.revision_of(name) == "0004_d");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK_FALSE(project.has_table("shared", "y"));
    CHECK(document(project.run({"runs", "-o", "json"}))["runs"][0]["of_run"] == id);
    // And again: what was finished since is no longer anybody's business.
    CHECK(fault(project.run({"retry", id}), 0, {"11 unchanged"}) == "");
    CHECK(fault(project.run({"retry", newest(project)}), 0) == "");
  }

  TEST_CASE("a tenant dropped meanwhile is gone, not a failure of the retry") {
    BrokenFleet project;
    REQUIRE(project.run({"upgrade-all"}).exit_code == 1);
    project.mend();
    project.database.execute("DROP SCHEMA t002 CASCADE");
    CHECK(fault(project.run({"retry", newest(project)}), 0, {"10 applied, 1 gone"}) == "");
  }

  TEST_CASE("undo takes the run back everywhere and leaves what moved on since") {
    BrokenFleet project;
    REQUIRE(project.run({"upgrade-all"}).exit_code == 1);
    const std::string id = newest(project);
    project.mend();
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);", "DROP TABLE d;");
    project.must({"upgrade", "--schema", "t001"});
    project.must({"upgrade", "--schema", "t003"});
    CHECK(fault(project.run({"undo", id}), 2, {"--yes"}) == "");

    const auto undone = project.run({"undo", id, "--yes", "-o", "json"});
    CHECK(undone.exit_code == 1);
    CHECK(judged(undone, "undo") == "");
    const json report = document(undone);
    CHECK(report["tenants"]["counts"]["failed"] == 2);
    CHECK(report["tenants"]["counts"]["applied"] == 31);
    CHECK(report["tenants"]["counts"]["unchanged"] == 7);
    CHECK(report["shared"]["counts"]["not-started"] == 1);
    CHECK(contains(undone.err, "the schema has moved on since the run: 0004_d came after it"));
    CHECK(contains(undone.err, "t001"));
    CHECK(project.revision_of("t001") == "0004_d");
    CHECK(project.revision_of("t003") == "0004_d");
    CHECK(project.revision_of("t004") == "0001_a");
    // Stood at 0002 when the run ended, half of it.
    CHECK(project.revision_of("t013") == "0001_a");
    CHECK(project.has_table("shared", "x"));
    CHECK_FALSE(project.has_table("t004", "c"));
  }

  TEST_CASE("undo of a run that was retried takes back both, in every schema") {
    BrokenFleet project;
    REQUIRE(project.run({"upgrade-all"}).exit_code == 1);
    const std::string id = newest(project);
    project.mend();
    project.must({"retry", id});
    const std::string retry = newest(project);
    CHECK(project.revision_of("t013") == "0003_c");  // 0002 by the run, 0003 by its retry

    // The retry alone is a run too.
    CHECK(fault(project.run({"undo", retry, "--yes", "--dry-run"}), 0) == "");
    const auto undone = project.run({"undo", id, "--yes", "-o", "json"});
    CHECK(fault(undone, 0) == "");
    CHECK(document(undone)["tenants"]["counts"]["applied"] == 40);
    for (const auto& row : project.database.rows(
             "SELECT nspname FROM pg_namespace WHERE nspname ~ '^t[0-9]' ORDER BY 1"))
      CHECK(project.revision_of(row[0]) == "0001_a");
    CHECK_FALSE(project.has_table("shared", "x"));
  }

  TEST_CASE("an undo that nothing is in the way of takes the shared scope back last") {
    Project project;
    project.create_tenants(3);
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);", "DROP TABLE x;");
    project.must({"upgrade-all", "0002"});
    const std::string first = newest(project);
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"undo", newest(project), "--yes"}), 0, {"3 applied"}) == "");
    CHECK(project.revision_of("t001") == "0002_b");
    CHECK(project.has_table("shared", "x"));
    CHECK(fault(project.run({"undo", first, "--yes", "--dry-run"}), 0, {"down 0002_b"}) == "");
    CHECK(fault(project.run({"undo", first, "--yes"}), 0, {"shared: applied, at base"}) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK_FALSE(project.has_table("shared", "x"));
    CHECK(fault(project.run({"undo", first, "--yes"}), 0, {"3 unchanged"}) == "");
    CHECK(fault(project.run({"undo", newest(project), "--yes"}), 2, {"took revisions back"}) == "");
  }

  TEST_CASE("the same revision applied again by another run is not undone") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.must({"upgrade-all"});
    const std::string id = newest(project);
    project.must({"downgrade", "0002", "--schema", "t001", "--yes"});
    project.must({"upgrade", "--schema", "t001"});
    CHECK(fault(project.run({"undo", id, "--yes"}), 1, {"moved on since", "1 applied"}) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(project.revision_of("t002") == "base");
  }

  TEST_CASE("a run with an irreversible revision is refused by name before anything runs") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);");
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"undo", newest(project), "--yes"}), 2,
                {"the run cannot be undone", "0002_b"}) == "");
    CHECK(project.revision_of("t001") == "0003_c");
  }

  TEST_CASE("killed in the middle: the run is abandoned, and retry takes what it did not come to") {
    Project project;
    project.create_tenants(40);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nSELECT pg_sleep(0.2);",
                  "DROP TABLE a;");
    auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
    for (int i = 0; i < 500 && project.database.value("SELECT count(*) FROM pg_tables WHERE "
                                                      "tablename = 'a'") < "10";
         ++i)
      std::this_thread::sleep_for(10ms);
    const json alive = document(project.run({"runs", "-o", "json"}))["runs"][0];
    CHECK(alive["state"] == "running");
    const std::string id = alive["run_id"];
    CHECK(fault(project.run({"retry", id}), 2, {"still under way"}) == "");
    process.kill(SIGKILL);
    process.wait(20s);
    std::string state = "running";
    for (int i = 0; i < 200 && state == "running"; ++i)
      state = document(project.run({"runs", "-o", "json"}))["runs"][0]["state"];
    CHECK(state == "abandoned");

    CHECK(fault(project.run({"retry", id}), 0) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
    // Those that the dead run had done are still its own.
    CHECK(project.database.value("SELECT run_id FROM t001.tenantctl_version") == id);
    const std::string retry = newest(project);
    CHECK(fault(project.run({"undo", retry, "--yes"}), 0) == "");
    CHECK(project.revision_of("t001") == "0001_a");
    CHECK(project.revision_of("t040") == "base");
    CHECK(fault(project.run({"undo", id, "--yes"}), 0) == "");
    CHECK(project.revision_of("t001") == "base");
  }

  TEST_CASE("an interrupted run says so") {
    Project project;
    project.create_tenants(3);
    project.write("tenant/0001_a.sql", "SELECT pg_sleep(60);");
    auto process = project.tool.start({"upgrade-all", "--jobs", "1"});
    for (int i = 0; i < 500 && project.database.value(
                                   "SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                   "'SELECT pg_sleep%' AND datname = current_database()") == "0";
         ++i)
      std::this_thread::sleep_for(10ms);
    process.kill(SIGINT);
    CHECK(process.wait(20s).exit_code == 130);
    const json run = document(project.run({"runs", "-o", "json"}))["runs"][0];
    CHECK(run["state"] == "interrupted");
    CHECK(run["counts"]["tenants"]["interrupted"] == 1);
    CHECK(run["counts"]["tenants"]["not-started"] == 2);
  }

  TEST_CASE("a run with nothing to do leaves no trace, and neither does one with --no-ledger") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.must({"upgrade-all", "--no-ledger"});
    const std::string count = project.database.value("SELECT count(*) FROM tenantctl.run");
    CHECK(count == "1");  // tenant create
    const json report = document(project.run({"upgrade-all", "-o", "json"}));
    CHECK(report["recorded"] == false);
    CHECK_FALSE(report.contains("not_recorded"));
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.run") == count);
    project.must({"downgrade", "0001", "--schema", "t001", "--yes"});
    project.must({"upgrade-all"});
    // The tenant that stood there already is only counted.
    CHECK(project.database.value("SELECT string_agg(schema, ',') FROM tenantctl.run_schema s JOIN "
                                 "tenantctl.run r ON r.id = s.run_id WHERE command = "
                                 "'upgrade-all'") == "t001");
    CHECK(project.database.value("SELECT counts->'tenant'->>'unchanged' FROM tenantctl.run WHERE "
                                 "command = 'upgrade-all'") == "1");
  }

  TEST_CASE("a ledger that is not ours is not used, and the run goes on without") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.database.execute(
        "CREATE TABLE public.trap (n int);"
        "CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.trap VALUES (1); RETURN NEW; END';"
        "CREATE TRIGGER spring BEFORE INSERT ON tenantctl.run "
        "FOR EACH ROW EXECUTE FUNCTION public.spring()");
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(fault(run, 0, {"notice: the run is not recorded", "not ours alone"}) == "");
    CHECK(document(run)["recorded"] == false);
    CHECK(contains(document(run)["not_recorded"].get<std::string>(), "not ours alone"));
    CHECK(project.database.value("SELECT count(*) FROM public.trap") == "0");
    CHECK(fault(project.run({"runs"}), 2, {"not ours alone", "--owner"}) == "");
    CHECK(project.revision_of("t002") == "0003_c");
  }

  TEST_CASE("a role without the right to make the ledger runs without it") {
    Project project;
    const std::string role = project.database.second_role();
    project.database.execute("CREATE SCHEMA t1 AUTHORIZATION " + role);
    project.write_abc();
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(role));
    project.must({"tenant", "adopt", "--schema", "t1"});
    const json report = document(project.run({"upgrade-all", "-o", "json"}));
    CHECK(report["tenants"]["counts"]["applied"] == 1);
    CHECK(report["recorded"] == false);
    CHECK(contains(report["not_recorded"].get<std::string>(), "permission denied"));
    CHECK(fault(project.run({"runs"}), 0, {"no run is recorded"}) == "");
  }

  TEST_CASE("what is no run, or several, is a mistake that says how to find one") {
    Project project;
    project.write_abc();
    CHECK(fault(project.run({"runs", "show", "12"}), 2, {"there is no run 12"}) == "");
    CHECK(fault(project.run({"retry", "zebra"}), 2, {"\"zebra\" is no run's id"}) == "");
    CHECK(fault(project.run({"undo", "12", "--yes"}), 2, {"there is no run 12"}) == "");
    project.create_tenants(1);
    project.must({"downgrade", "base", "--schema", "t001", "--yes"});
    project.must({"stamp", "head", "--schema", "t001"});
    CHECK(fault(project.run({"undo", newest(project), "--yes"}), 2, {"it ran no revision"}) == "");
    CHECK(fault(project.run({"retry", newest(project)}), 2,
                {"retry takes upgrades and downgrades"}) == "");
    // No run can have this one: a version 4 has its 4 there.
    CHECK(fault(project.run({"upgrade-all", "--only-failed", "00000000-0000-0"}), 2,
                {"there is no run"}) == "");
  }
}

TEST_SUITE("cli/plan-file") {
  struct PlannedFleet : Project {
    PlannedFleet() {
      write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
      create_tenants(6);
      write_abc();
      write("shared/0001_x.sql", "CREATE TABLE x (id int);");
      must({"upgrade", "+1", "--schema", "t005"});
      must({"upgrade", "--schema", "t006"});
    }
    std::string file() const { return tool.folder().read("plan.json"); }
  };

  TEST_CASE("a plan is groups with their revisions and SQL, and is carried out as it stands") {
    PlannedFleet project;
    const auto plan = project.run({"plan", "--file", "plan.json"});
    CHECK(fault(plan, 0,
                {"# Plan: upgrade-all to head", "### 4 schemas at 1, to 3", "1. 0002_b  sha256:",
                 "### 1 schema at 3\n\nNothing to do.", "CREATE TABLE b (id int);"}) == "");
    CHECK(schema_errors(project.file(), source_folder() / "tests/schemas/plan.schema.json") == "");
    CHECK(project.run({"plan", "-o", "json"}).out == project.file());
    const json document = json::parse(project.file());
    CHECK(document["tenants"]["groups"].size() == 3);
    CHECK(document["tenants"]["revisions"][0]["sql"] == "CREATE TABLE b (id int);\n");
    CHECK(project.revision_of("t001") == "0001_a");
    CHECK_FALSE(project.has_schema("shared"));

    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 0,
                {"shared: applied", "5 applied, 1 unchanged"}) == "");
    // A job that is started again finds everything where the plan leads.
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 0, {"6 unchanged"}) == "");
  }

  TEST_CASE("schemas that moved are refused by name, and those the plan does not know untouched") {
    PlannedFleet project;
    project.must({"plan", "--file", "plan.json"});
    project.must({"upgrade", "+1", "--schema", "t002"});
    project.must({"downgrade", "base", "--schema", "t003", "--yes"});
    project.database.execute("DROP SCHEMA t004 CASCADE");
    project.write("tenant/0009_z.sql", "SELECT 1;");
    project.must({"tenant", "create", "t007"});
    project.remove("tenant/0009_z.sql");
    const auto run = project.run({"upgrade-all", "--plan", "plan.json", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "upgrade-all") == "");
    const json report = document(run);
    CHECK(report["tenants"]["counts"]["failed"] == 2);
    CHECK(report["tenants"]["counts"]["gone"] == 1);
    CHECK(report["tenants"]["counts"]["applied"] == 2);
    CHECK(report["not_in_plan"] == json{"t007"});
    CHECK(contains(run.err, "t002: not where the plan says: at revision 2, not at revision 1"));
    CHECK(contains(run.err, "t003: not where the plan says: at base"));
    CHECK(project.revision_of("t002") == "0002_b");
    CHECK(project.revision_of("t001") == "0003_c");
  }

  TEST_CASE("a file that differs is refused by name before anything is touched") {
    PlannedFleet project;
    project.must({"plan", "--file", "plan.json"});
    project.write("tenant/0003_c.sql", "CREATE TABLE cc (id int);");
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 2,
                {"migrations/tenant/versions/0003_c.sql was edited"}) == "");
    project.write_abc();
    project.write("shared/0002_y.sql", "SELECT 1;");
    project.remove("tenant/0002_b.sql");
    project.write("tenant/0003_c.sql", "CREATE TABLE c (id int);");
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 2,
                {"0002_b is not in the folder any more"}) == "");
    project.write_abc();
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 2,
                {"0002_y.sql has come since"}) == "");
    CHECK(project.revision_of("t001") == "0001_a");
    CHECK_FALSE(project.has_schema("shared"));
    project.remove("shared/0002_y.sql");
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 0) == "");
  }

  TEST_CASE("what is no plan, and a selection beside one, are mistakes") {
    PlannedFleet project;
    project.must({"plan", "--file", "plan.json"});
    CHECK(fault(project.run({"upgrade-all", "--plan", "nowhere.json"}), 2,
                {"cannot read the plan nowhere.json"}) == "");
    project.tool.folder().write("bad.json", "{\"command\": 1");
    CHECK(fault(project.run({"upgrade-all", "--plan", "bad.json"}), 2, {"bad.json is no plan"}) ==
          "");
    project.tool.folder().write("other.json", R"({"command": "status", "format_version": 1})");
    CHECK(fault(project.run({"upgrade-all", "--plan", "other.json"}), 2,
                {"other.json is no plan: it is the document of another command"}) == "");
    CHECK(fault(project.run({"upgrade-all", "0002", "--plan", "plan.json"}), 2,
                {"Leave TARGET out"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json", "--tenants", "t*"}), 2,
                {"Leave the selection out"}) == "");
    CHECK(fault(project.run({"plan", "--file", "no/such/folder/plan.json"}), 2,
                {"cannot write the plan"}) == "");
    CHECK(project.revision_of("t001") == "0001_a");
  }
}
