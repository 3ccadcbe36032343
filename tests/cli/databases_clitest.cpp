#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/database_project.h"
#include "support/process.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

// By schema, from a run's JSON.
std::string result_of(const json& document, const std::string& scope, const std::string& schema) {
  for (const auto& one : document.at(scope).at("schemas")) {
    if (one.at("schema") == schema)
      return one.at("result");
  }
  return "";
}

}  // namespace

TEST_SUITE("cli/databases/create") {
  TEST_CASE("a tenant gets a database of its own, with both scopes at head, and nobody else in") {
    DatabaseProject project;
    project.write_abc();
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (id int);", "DROP TABLE plans;");
    const auto run = project.run(
        {"tenant", "create", "acme", "--isolation", "database", "--tier", "gold", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-create") == "");
    CHECK(result_of(json::parse(run.out), "tenants", project.schema_of("acme")) == "applied");
    CHECK(project.revision_in("acme") == "0003_c");
    CHECK(project.inside("acme", "SELECT count(*) FROM shared.plans, tenant.a") == "0");
    CHECK_FALSE(project.has_schema("shared"));
    CHECK(
        project.database.value("SELECT isolation || ' ' || schema_name || ' ' || database_name || "
                               "' ' || tier || ' ' || state || ' ' || metadata FROM "
                               "tenantctl.tenant") ==
        "database tenant " + project.name_of("acme") + " gold ready {}");
    CHECK(project.database.value("SELECT has_database_privilege('" +
                                 project.database.second_role() + "', '" + project.name_of("acme") +
                                 "', 'connect')") == "f");
    CHECK(fault(project.run({"tenant", "list"}), 0, {project.schema_of("acme"), "0003_c", "ok"}) ==
          "");
    CHECK(fault(project.run({"registry", "check"}), 0, {"agree"}) == "");
  }

  TEST_CASE("many are made at once, and one that is there already keeps all from being made") {
    DatabaseProject project;
    project.write_abc();
    project.must({"tenant", "create", "--isolation", "database", "--count", "2", "--prefix", "t_",
                  "--tenant-schema", "app"});
    CHECK(project.inside("t_00002", "SELECT count(*) FROM app.c") == "0");
    project.database.execute("CREATE DATABASE " + project.name_of("taken"));
    CHECK(fault(project.run({"tenant", "create", "fresh", "taken", "--isolation", "database"}), 2,
                {"database " + project.name_of("taken") + " is there already",
                 "Nothing was made"}) == "");
    CHECK(fault(project.run({"tenant", "create", "t_00001", "--isolation", "database"}), 2,
                {"tenant t_00001 is registered already: ready"}) == "");
    CHECK_FALSE(project.has_database("fresh"));
    CHECK(project.states() == "t_00001 ready,t_00002 ready");
    CHECK(fault(project.run({"tenant", "create", "Big", "--isolation", "database"}), 2,
                {"\"Big\" is no slug"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database", "--sql"}), 2,
                {"takes neither --sql nor --from"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database", "--runtime-role",
                             "no_such_role"}),
                2, {"there is no role no_such_role"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database", "-n"}), 0,
                {project.schema_of("one"), "up 0001_a"}) == "");
    CHECK_FALSE(project.has_database("one"));
  }

  TEST_CASE("without a registry nobody would know of the tenant: refused") {
    Project project;
    project.write_abc();
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database"}), 2,
                {"needs a registry", "HINT: tenantctl registry init"}) == "");
  }

  TEST_CASE("a template is made, kept at head, and shut to everybody") {
    DatabaseProject project;
    project.write_abc();
    const std::string source = project.name_of("template");
    project.tool.set_variable("TENANTCTL_TEMPLATE_DATABASE", source);
    const auto first =
        project.run({"tenant", "create", "one", "--isolation", "database", "-o", "json"});
    CHECK(fault(first, 0) == "");
    CHECK(result_of(json::parse(first.out), "tenants", project.schema_of("one")) == "unchanged");
    CHECK(project.revision_in("one") == "0003_c");
    CHECK(contains(project.inside("template", "SELECT 1"), "not currently accepting connections"));
    const std::string mark =
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE "
        "datname = '" +
        source + "'";
    const std::string before = project.database.value(mark);
    project.create({"two"});
    CHECK(project.database.value(mark) == before);
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    project.create({"three"});
    CHECK(project.database.value(mark) != before);
    CHECK(project.revision_in("three") == "0004_d");
    CHECK(project.revision_in("two") == "0003_c");
    project.write("tenant/0005_bad.sql", "SELECT 1 / 0;");
    CHECK(fault(project.run({"tenant", "create", "four", "--isolation", "database"}), 1,
                {"the template " + source + " could not be brought to head", "division by zero",
                 "No tenant was made"}) == "");
    CHECK(project.states() == "one ready,three ready,two ready");
    CHECK_FALSE(project.has_database("four"));
    project.remove("tenant/0005_bad.sql");
    project.create({"four"});
    project.database.execute("CREATE DATABASE " + project.name_of("stranger"));
    project.tool.set_variable("TENANTCTL_TEMPLATE_DATABASE", project.name_of("stranger"));
    CHECK(fault(project.run({"tenant", "create", "five", "--isolation", "database"}), 2,
                {"is no template of tenantctl's"}) == "");
    CHECK(project.states() == "four ready,one ready,three ready,two ready");
  }

  TEST_CASE("of a tenant that fails neither database nor row is left") {
    DatabaseProject project;
    project.write_abc();
    project.write("tenant/0004_bad.sql",
                  "SELECT 1 / CASE WHEN current_database() LIKE '%bad' "
                  "THEN 0 ELSE 1 END;");
    const auto run = project.run({"tenant", "create", "good", "bad", "--isolation", "database"});
    CHECK(fault(run, 1,
                {"1 applied, 1 failed", "division by zero", "Nothing of the tenant was kept"}) ==
          "");
    CHECK(project.states() == "good ready");
    CHECK_FALSE(project.has_database("bad"));
    CHECK(project.revision_in("good") == "0004_bad");
  }

  TEST_CASE("killed in the middle, a tenant is completed by making it again") {
    DatabaseProject project;
    project.write_abc();
    project.write("tenant/0004_slow.sql", "SELECT pg_sleep(600);");
    auto process = project.tool.start({"tenant", "create", "one", "--isolation", "database"});
    const std::string sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                                 project.name_of("one") + "' AND query LIKE '%pg_sleep(600)%'";
    for (int i = 0; i < 300 && project.database.value(sleeping) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    CHECK(project.states() == "one provisioning");
    CHECK(fault(project.run({"tenant", "create", "one", "--isolation", "database"}), 2,
                {"Another run is making it"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "one", "-y"}), 2, {"is being made"}) == "");
    process.kill(SIGKILL);
    process.wait();
    project.end_sessions_of_the_tool();
    CHECK(fault(project.run({"registry", "check"}), 4, {"one: provisioning"}) == "");
    project.write("tenant/0004_slow.sql", "SELECT 1;");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"nothing to do"}) == "");
    project.create({"one"});
    CHECK(project.revision_in("one") == "0004_slow");
    CHECK(project.states() == "one ready");
  }

  TEST_CASE("an interrupted create leaves nothing, in whichever scope it was") {
    std::string scope;
    SUBCASE("shared") { scope = "shared"; }
    SUBCASE("tenant") { scope = "tenant"; }
    DatabaseProject project;
    project.write_abc();
    project.write(scope + "/0004_slow.sql", "SELECT pg_sleep(600);");
    auto process = project.tool.start({"tenant", "create", "one", "--isolation", "database"});
    const std::string sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                                 project.name_of("one") + "' AND query LIKE '%pg_sleep(600)%'";
    for (int i = 0; i < 300 && project.database.value(sleeping) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    process.kill(SIGINT);
    CHECK(process.wait().exit_code == 130);
    CHECK(project.states() == "");
    CHECK_FALSE(project.has_database("one"));
  }
}

TEST_SUITE("cli/databases/drop") {
  TEST_CASE("a database in use is dropped only if that is asked for") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one", "two"});
    project.must({"tenant", "create", "plain"});
    RunningProcess user(
        {"psql", "-XAtq", project.conninfo_of("one"), "-c", "SELECT 'in'; SELECT pg_sleep(600)"});
    const std::string connected =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '" + project.name_of("one") + "'";
    for (int i = 0; i < 100 && project.database.value(connected) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    CHECK(fault(project.run({"tenant", "drop", "one", "-y"}), 1,
                {"was not shut: 1 session is connected to it", "--force ends sessions"}) == "");
    CHECK(project.states() == "one ready,plain ready,two ready");
    CHECK(fault(project.run({"tenant", "drop", "one", "-y", "--purge"}), 1,
                {"was not dropped", "being accessed by other users", "--force"}) == "");
    CHECK(project.states() == "one ready,plain ready,two ready");
    CHECK(fault(project.run({"tenant", "drop", "plain", "-y", "--force"}), 2,
                {"--force is for tenants with a database"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "one", project.schema_of("two"), "plain", "-y",
                             "--force", "--purge"}),
                0, {"purged one", "purged two", "purged plain"}) == "");
    CHECK(project.states() == "");
    CHECK_FALSE(project.has_database("one"));
    CHECK_FALSE(project.has_database("two"));
    CHECK_FALSE(project.has_schema("plain"));
  }

  TEST_CASE("what is not ours is not dropped, and a drop that was stopped is finished") {
    DatabaseProject project;
    project.write_abc();
    project.create({"one"});
    project.database.execute("ALTER DATABASE " + project.name_of("one") + " OWNER TO " +
                             project.database.second_role());
    CHECK(fault(project.run({"tenant", "drop", "one", "-y"}), 2, {"not ours to change or drop"}) ==
          "");
    project.database.execute("DROP DATABASE " + project.name_of("one"));
    project.database.execute("UPDATE tenantctl.tenant SET state = 'deleting'");
    CHECK(fault(project.run({"upgrade-all", "-n"}), 0) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "one"}), 2,
                {"tenant one is deleting", "tenant purge one finishes it"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "one", "-y"}), 1, {"its purge has begun"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "one", "-y", "--purge"}), 0, {"purged one"}) == "");
    CHECK(project.states() == "");
  }
}

TEST_SUITE("cli/databases/run") {
  TEST_CASE("one run takes schemas and databases forward and back, and the budget holds") {
    DatabaseProject project;
    project.write_abc();
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (id int);", "DROP TABLE plans;");
    project.must({"upgrade", "--scope", "shared"});
    project.must({"tenant", "create", "p1", "p2"});
    project.create({"d1", "d2", "d3", "d4", "d5"});
    project.write("shared/0002_rates.sql", "CREATE TABLE rates (id int);", "DROP TABLE rates;");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int); SELECT pg_sleep(0.2);",
                  "DROP TABLE d;");
    CHECK(fault(project.run({"check"}), 4, {"0003_c"}) == "");
    const auto plan = project.run({"upgrade-all", "-n", "-o", "json"});
    CHECK(judged(plan, "upgrade-all") == "");
    CHECK(json::parse(plan.out)["tenants"].size() == 1);
    CHECK(json::parse(plan.out)["tenants"][0]["schemas"].size() == 7);
    auto process = project.tool.start({"upgrade-all", "--jobs", "2", "-o", "json"});
    int most = 0;
    for (int i = 0; i < 2'000 && !process.shows("run_id", std::chrono::milliseconds(1)); ++i) {
      const std::string count = project.database.value(
          "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tenantctl/%' AND "
          "starts_with(datname, '" +
          project.database.name() + "')");
      most = std::max(most, std::stoi(count));
    }
    const auto run = process.wait();
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "upgrade-all") == "");
    // Two that work, and the one that watches; one more may be on its way out.
    CHECK(most >= 2);
    CHECK(most <= 4);
    const json document = json::parse(run.out);
    CHECK(document["shared"]["counts"]["applied"] == 6);
    CHECK(document["tenants"]["counts"]["applied"] == 7);
    CHECK(project.revision_of("p1") == "0004_d");
    for (const char* tenant : {"d1", "d2", "d3", "d4", "d5"})
      CHECK(project.revision_in(tenant) == "0004_d");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"downgrade-all", "-1", "-y"}), 0, {"7 applied"}) == "");
    CHECK(project.revision_in("d4") == "0003_c");
  }

  TEST_CASE("a database that cannot be reached fails alone, and retry takes it") {
    DatabaseProject project;
    project.write_abc();
    project.must({"tenant", "create", "plain"});
    project.create({"one", "two", "three"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    const auto allow = [&](const std::string& tenant, bool is_allowed) {
      project.database.execute(fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS {}",
                                           project.name_of(tenant), is_allowed));
    };
    allow("one", false);
    allow("three", false);
    CHECK(fault(project.run({"status"}), 1, {"unavailable: cannot connect"}) == "");
    CHECK(fault(project.run({"check"}), 1) == "");
    CHECK(fault(project.run({"tenant", "list"}), 1, {"unavailable"}) == "");
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "upgrade-all") == "");
    const json document = json::parse(run.out);
    CHECK(document["tenants"]["counts"]["applied"] == 2);
    CHECK(document["tenants"]["counts"]["unavailable"] == 2);
    CHECK(document["tenants"]["causes"].size() == 1);
    CHECK(project.revision_in("two") == "0004_d");
    CHECK(fault(project.run({"upgrade", "--schema", "one"}), 1, {"unavailable"}) == "");
    allow("one", true);
    allow("three", true);
    const std::string id = document["run_id"];
    CHECK(fault(project.run({"retry", id}), 0, {"2 applied"}) == "");
    CHECK(fault(project.run({"undo", id, "-y"}), 0, {"4 applied"}) == "");
    CHECK(project.revision_in("three") == "0003_c");
    CHECK(project.revision_of("plain") == "0003_c");
  }

  TEST_CASE("a database that goes while the run goes on is the loss of its tenant alone") {
    DatabaseProject project;
    project.create({"one", "two"});
    project.write("tenant/0001_a.sql", "SELECT pg_sleep(1); CREATE TABLE a (i int);");
    auto process = project.tool.start(
        {"upgrade-all", "--jobs", "1", "--reconnect-timeout", "2s", "-o", "json"});
    const std::string sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                                 project.name_of("one") + "' AND query LIKE '%pg_sleep(1)%'";
    for (int i = 0; i < 300 && project.database.value(sleeping) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.02)");
    project.database.execute("DROP DATABASE " + project.name_of("two") + " WITH (FORCE)");
    const auto run = process.wait();
    CHECK(fault(run, 0) == "");
    CHECK(result_of(json::parse(run.out), "tenants", project.schema_of("one")) == "applied");
    CHECK(result_of(json::parse(run.out), "tenants", project.schema_of("two")) == "gone");
  }

  TEST_CASE("where the shared scope fails in one database, only its tenant stays behind") {
    DatabaseProject project;
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (id int);");
    project.must({"upgrade", "--scope", "shared"});
    project.must({"tenant", "create", "plain"});
    project.create({"one", "two"});
    project.inside("one", "CREATE TABLE shared.rates ()");
    project.write("shared/0002_rates.sql", "CREATE TABLE rates (id int);");
    project.write_raw("tenant/0001_a.sql",
                      "-- tenantctl: requires shared 0002\n-- migrate:up\n"
                      "CREATE TABLE a (i int);\n");
    CHECK(fault(project.run({"upgrade", "--schema", "two"}), 1,
                {"requires revision 2 of the shared scope"}) == "");
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(run.exit_code == 1);
    const json document = json::parse(run.out);
    CHECK(result_of(document, "shared", project.name_of("one") + "/shared") == "failed");
    CHECK(result_of(document, "tenants", project.schema_of("one")) == "not-started");
    CHECK(result_of(document, "tenants", project.schema_of("two")) == "applied");
    CHECK(result_of(document, "tenants", "plain") == "applied");
    project.inside("one", "DROP TABLE shared.rates");
    CHECK(fault(project.run({"upgrade", "--schema", "one"}), 1,
                {"requires revision 2 of the shared scope"}) == "");
    CHECK(fault(project.run({"retry", std::string(document["run_id"])}), 0) == "");
    CHECK(project.revision_in("one") == "0001_a");
  }

  TEST_CASE("tenants are chosen by slug as well as by database and schema") {
    DatabaseProject project;
    project.create({"acme", "apex", "globex"});
    project.must({"tenant", "create", "plain"});
    project.write("tenant/0001_a.sql", "CREATE TABLE a (i int);", "DROP TABLE a;");
    CHECK(fault(project.run({"upgrade", "--schema", "acme"}), 0,
                {project.schema_of("acme") + ": applied"}) == "");
    CHECK(fault(project.run({"current", "--schema", "acme"}), 0,
                {project.schema_of("acme"), "0001_a"}) == "");
    CHECK(fault(project.run({"history", "--schema", project.schema_of("apex")}), 0,
                {"0001", "pending"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--tenants", "a*"}), 0, {"1 applied, 1 unchanged"}) ==
          "");
    CHECK(fault(project.run({"upgrade-all", "--schema", "nobody"}), 2,
                {"there is no tenant \"nobody\""}) == "");
    CHECK(fault(project.run(
                    {"upgrade-all", "--canary", "globex", "--waves", "100%", "--exclude", "a*"}),
                0, {"2 applied"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--sql"}), 2, {"--sql is for one database"}) == "");
    project.write("tenant/0002_b.sql", "CREATE TABLE b (i int);", "DROP TABLE b;");
    CHECK(fault(project.run({"stamp", "head", "--schema", "acme"}), 0,
                {project.schema_of("acme") + ": applied"}) == "");
    CHECK(project.revision_in("acme") == "0002_b");
    CHECK(fault(project.run({"stamp", "head", "--schema", "nobody"}), 2, {"does not exist"}) == "");
    project.database.execute("CREATE SCHEMA \"" + project.schema_of("acme") + "\"");
    project.must({"tenant", "adopt", "--schema", project.schema_of("acme")});
    CHECK(fault(project.run({"upgrade-all"}), 2, {"could tell them apart"}) == "");
  }

  TEST_CASE("a plan file holds databases to what was agreed to") {
    DatabaseProject project;
    project.create({"one", "two"});
    project.write("tenant/0001_a.sql", "CREATE TABLE a (i int);", "DROP TABLE a;");
    const auto plan = project.run({"plan", "--file", "plan.json", "-o", "json"});
    CHECK(fault(plan, 0) == "");
    CHECK(judged(plan, "plan") == "");
    project.must({"upgrade", "--schema", "two"});
    project.create({"three"});
    const auto run = project.run({"upgrade-all", "--plan", "plan.json"});
    CHECK(fault(run, 0,
                {"1 applied, 1 unchanged", "not in the plan, not touched: 1 schema",
                 project.schema_of("three")}) == "");
    CHECK(project.revision_in("one") == "0001_a");
  }

  TEST_CASE("locks, revisions outside a transaction and lost connections are met there as here") {
    DatabaseProject project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (i int);", "DROP TABLE a;");
    project.create({"one", "two", "three"});
    RunningProcess holder({"psql", "-XAtq", project.conninfo_of("one"), "-c",
                           "BEGIN; LOCK TABLE tenant.a; SELECT pg_sleep(3)"});
    const std::string locked = "SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                               project.name_of("one") + "' AND query LIKE '%pg_sleep(3)%'";
    for (int i = 0; i < 100 && project.database.value(locked) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.05)");
    project.write("tenant/0002_b.sql", "ALTER TABLE a ADD COLUMN j int;",
                  "ALTER TABLE a DROP COLUMN j;");
    project.write_raw("tenant/0003_index.sql",
                      "-- migrate:up transaction:false\n"
                      "CREATE INDEX CONCURRENTLY a_j ON a (j);\n"
                      "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY a_j;\n");
    const auto run = project.run({"upgrade-all", "--jobs", "1", "--lock-timeout", "100ms"});
    CHECK(fault(run, 0, {"3 applied", "retried"}) == "");
    for (const char* tenant : {"one", "two", "three"})
      CHECK(project.revision_in(tenant) == "0003_index");
    CHECK(fault(project.run({"downgrade-all", "base", "-y", "--jobs", "2"}), 0, {"3 applied"}) ==
          "");
  }

  TEST_CASE("a signal ends a run over databases as any other") {
    DatabaseProject project;
    project.create({"one", "two", "three"});
    project.write("tenant/0001_slow.sql", "SELECT pg_sleep(600);");
    auto process = project.tool.start({"upgrade-all", "--jobs", "1", "-o", "json"});
    const std::string sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, '" +
        project.database.name() + "_') AND query LIKE '%pg_sleep(600)%'";
    for (int i = 0; i < 300 && project.database.value(sleeping) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.05)");
    process.kill(SIGINT);
    const auto run = process.wait();
    CHECK(run.exit_code == 130);
    const json document = json::parse(run.out);
    CHECK(document["tenants"]["counts"]["interrupted"] == 1);
    CHECK(document["tenants"]["counts"]["not-started"] == 2);
  }
}
