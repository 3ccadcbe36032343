#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "support/database.h"
#include "support/process.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

/// A product whose tenants live in its own database and in two more, each with a registry of its
/// own. That those are databases of the same server makes no difference to the program.
struct Continents {
  TestDatabase eu;
  TestDatabase us;
  Project project;

  Continents() {
    project.tool.folder().write("tenantctl.toml",
                                "[clusters]\neu = \"$EU_URL\"\nus = \"$US_URL\"\n"
                                "eu2 = \"$EU_URL\"\nmain = \"$DATABASE_URL\"\n");
    project.tool.set_variable("EU_URL", eu.conninfo());
    project.tool.set_variable("US_URL", us.conninfo());
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (id int);", "DROP TABLE plans;");
    project.write_abc();
    project.must({"upgrade", "--scope", "shared"});
    project.must({"registry", "init"});
    project.must({"tenant", "create", "here"});
  }

  void join(const std::string& cluster) const {
    project.must({"registry", "init", "--cluster", cluster});
    project.must({"registry", "join", cluster});
  }

  std::string known() const {
    return project.database.value(
        "SELECT string_agg(cluster || ':' || slug || ' ' || state, ',' ORDER BY cluster, slug) "
        "FROM tenantctl.cluster_tenant");
  }
};

// By name: who is first is the rollout's business.
std::string results_of(const Finished& run) {
  const json document = json::parse(run.out);
  std::set<std::string> results;
  for (const auto& one : document.at("tenants").at("schemas"))
    results.insert(one.at("schema").get<std::string>() + " " + one.at("result").get<std::string>());
  std::string all;
  for (const std::string& result : results)
    all += (all.empty() ? "" : ", ") + result;
  return all;
}

std::string sqlstate_of(TestDatabase& database, const std::string& slug) {
  database.execute("BEGIN");
  std::string state;
  try {
    database.execute("DO $$DECLARE s text; BEGIN PERFORM tenantctl.enter('" + slug +
                     "'); EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS s = "
                     "RETURNED_SQLSTATE; PERFORM set_config('my.state', s, true); END$$");
    state = database.value("SELECT current_setting('my.state', true)");
  } catch (const std::runtime_error& error) {
    state = error.what();
  }
  database.execute("ROLLBACK");
  return state;
}

}  // namespace

TEST_SUITE("cli/joined clusters") {
  TEST_CASE("one run goes over all, with their homes and pools and a ledger in each") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    world.join("us");
    project.must({"gate", "install", "--cluster", "eu"});
    project.must({"tenant", "create", "far", "further", "--cluster", "eu"});
    project.must(
        {"tenant", "create", "shares", "--isolation", "rows", "--home", "rows", "--cluster", "eu"});
    project.must({"tenant", "pool", "--keep", "1", "--cluster", "eu"});
    project.must({"tenant", "create", "atlantic", "--cluster", "us"});
    CHECK(world.known() == "eu:far ready,eu:further ready,eu:shares ready,us:atlantic ready");

    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    const auto run = project.run({"upgrade-all", "--canary", "far", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(results_of(run) ==
          "eu:/far applied, eu:/further applied, eu:/pool_00001 applied, eu:/rows applied, here "
          "applied, us:/atlantic applied");
    const std::string id = json::parse(run.out)["run_id"];
    CHECK(world.eu.value("SELECT count(*) FROM tenantctl.run_schema WHERE run_id = '" + id +
                         "' AND scope = 'tenant'") == "4");
    CHECK(world.us.value("SELECT state FROM tenantctl.run WHERE id = '" + id + "'") == "ok");
    CHECK(world.eu.value("SELECT count(*) FROM far.d, rows.d, pool_00001.d, shared.plans") == "0");

    const auto list = project.run({"tenant", "list", "--output", "json"});
    CHECK(judged(list, "tenant-list") == "");
    CHECK(fault(project.run({"tenant", "list"}), 0,
                {"eu:/pool_00001  0004_d    pool", "eu:/rows        0004_d    home",
                 "us:/atlantic"}) == "");
    for (const auto& tenant : json::parse(list.out)["tenants"]) {
      if (tenant["state"] != "home" && tenant["state"] != "pool")
        CHECK(tenant["state"].get<std::string>() + " " + tenant["revision"].get<std::string>() ==
              "ok 0004_d");
    }
    CHECK(fault(project.run({"status"}), 0, {"0004_d          6"}) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"history", "--schema", "far"}), 0, {"0004  d  applied"}) == "");
    CHECK(fault(project.run({"tenant", "show", "far"}), 0, {"schema far, cluster eu"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--isolation", "rows", "--dry-run"}), 0,
                {"eu:/rows"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--tier", "standard", "--tenants", "f*", "-o", "json"}),
                0, {"eu:/far", "eu:/further"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "atlantic", "0003"}), 0) == "");
    CHECK(fault(project.run({"downgrade", "--schema", "atlantic", "-y", "0003"}), 0,
                {"us:/atlantic"}) == "");
    CHECK(fault(project.run({"status", "--cluster", "us"}), 0, {"atlantic"}) == "");

    CHECK(fault(project.run({"undo", id, "-y"}), 0, {"5 applied, 1 unchanged"}) == "");
    CHECK(world.eu.value("SELECT to_regclass('far.d') IS NULL") == "t");
    project.must({"plan", "--file", "plan.json"});
    CHECK(fault(project.run({"upgrade-all", "--plan", "plan.json"}), 0, {"6 applied"}) == "");
  }

  TEST_CASE("what happens to a tenant happens over there, and the registry learns of it") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    project.must({"gate", "install"});
    project.must({"gate", "install", "--cluster", "eu"});
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    project.must({"tenant", "create", "own", "--isolation", "database", "--cluster", "eu",
                  "--database-prefix", world.eu.name() + "_"});
    CHECK(world.eu.value("SELECT string_agg(slug || coalesce(cluster, ''), ',' ORDER BY slug) FROM "
                         "tenantctl.tenant") == "far,own");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "1");
    CHECK(sqlstate_of(world.eu, "far") == "");
    CHECK(sqlstate_of(project.database, "far") == "TG006");
    CHECK(sqlstate_of(project.database, "nobody") == "TG001");

    for (const std::vector<std::string>& command : {std::vector<std::string>{"suspend", "far"},
                                                    {"rename", "far", "near"},
                                                    {"drop", "far", "-y"},
                                                    {"drop", "eu:/far", "-y"},
                                                    {"seed", "far"},
                                                    {"clone", "far", "copy"},
                                                    {"move", "far", "--to", "database"}}) {
      std::vector<std::string> args{"tenant"};
      args.insert(args.end(), command.begin(), command.end());
      CHECK(fault(project.run(args), 2, {"lives on cluster eu", "--cluster eu"}) == "");
    }
    CHECK(fault(project.run({"tenant", "drop", "--tenants", "*", "-y", "--purge", "-o", "json"}), 0,
                {"here"}) == "");
    CHECK(world.eu.value("SELECT count(*) FROM far.c") == "0");

    project.must({"tenant", "suspend", "far", "--cluster", "eu"});
    CHECK(sqlstate_of(world.eu, "far") == "TG002");
    CHECK(world.known() == "eu:far suspended,eu:own ready");
    project.must({"tenant", "rename", "far", "distant", "--cluster", "eu"});
    CHECK(world.known() == "eu:distant suspended,eu:own ready");
    project.must({"tenant", "drop", "distant", "own", "-y", "--cluster", "eu"});
    CHECK(world.known() == "eu:distant deleting,eu:own deleting");
    CHECK(fault(project.run({"upgrade-all", "-o", "json"}), 0) == "");
    project.must({"tenant", "undrop", "distant", "--cluster", "eu"});
    CHECK(world.known() == "eu:distant suspended,eu:own deleting");
    project.must({"tenant", "purge", "own", "-y", "--grace", "0s", "--cluster", "eu"});
    project.must({"tenant", "drop", "distant", "-y", "--purge", "--cluster", "eu"});
    CHECK(world.known().empty());
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a slug is one tenant's wherever he lives") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    world.join("us");
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    CHECK(fault(project.run({"tenant", "create", "far"}), 2, {"tenant far lives on cluster eu"}) ==
          "");
    CHECK(fault(project.run({"tenant", "create", "far", "--cluster", "us"}), 2,
                {"registered already, on cluster eu"}) == "");
    CHECK(fault(project.run({"tenant", "create", "here", "--cluster", "us"}), 2,
                {"tenant here is registered already"}) == "");
    CHECK(fault(project.run({"tenant", "create", "here", "--cluster", "us", "--isolation", "rows",
                             "--home", "rows"}),
                2, {"tenant here is registered already"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "far", "here", "--cluster", "eu"}), 2,
                {"tenant here is registered already"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "here", "far"}), 2, {"lives on cluster eu"}) ==
          "");
    CHECK(world.us.value("SELECT count(*) FROM tenantctl.tenant") == "0");

    // Somebody who asked nobody.
    project.must({"tenant", "create", "far", "--database-url", world.us.conninfo()});
    CHECK(fault(project.run({"registry", "check"}), 4, {"us:far: is not what"}) == "");
    const auto sync = project.run({"registry", "sync", "-o", "json"});
    CHECK(sync.exit_code == 1);
    CHECK(judged(sync, "registry-sync") == "");
    CHECK(json::parse(sync.out)["clusters"][1]["refused"] == json{"far"});
    CHECK(fault(project.run({"upgrade", "--schema", "far"}), 2,
                {"several tenants are called far: eu:/far, us:/far"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "us:/far"}), 0, {"us:/far"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--tenants", "far"}), 2, {"matches no tenant"}) == "");
    CHECK(fault(project.run({"tenant", "suspend", "atlantic", "--cluster", "us"}), 2,
                {"no tenant \"atlantic\""}) == "");
    project.must({"tenant", "rename", "far", "atlantic", "--cluster", "us"});
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(world.known() == "eu:far ready,us:atlantic ready");
  }

  TEST_CASE("a slug is kept free before a tenant is made, by whichever way") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    project.must({"gate", "install", "--cluster", "eu"});
    project.must({"tenant", "pool", "--keep", "1", "--cluster", "eu"});
    CHECK(fault(project.run({"tenant", "create", "here", "--cluster", "eu"}), 2,
                {"tenant here is registered already"}) == "");
    CHECK(world.eu.value("SELECT count(*) FROM tenantctl.tenant") == "0");
    project.must({"tenant", "create", "--count", "2", "--prefix", "t_"});
    CHECK(fault(project.run(
                    {"tenant", "create", "--count", "2", "--prefix", "t_", "--cluster", "eu"}),
                0) == "");
    CHECK(world.known() == "eu:t_00003 ready,eu:t_00004 ready");
    CHECK(fault(project.run({"tenant", "create", "--count", "1", "--prefix", "t_"}), 0,
                {"t_00005"}) == "");

    // Two who want the same one: only one is given it.
    project.write("tenant/0004_slow.sql", "SELECT pg_sleep(2);");
    auto there = project.tool.start({"tenant", "create", "race", "--cluster", "eu", "-q"});
    for (int i = 0; i < 200 && world.known().find("race") == std::string::npos; ++i)
      project.database.value("SELECT pg_sleep(0.05)");
    CHECK(fault(project.run({"tenant", "create", "race"}), 2, {"is being made on cluster eu"}) ==
          "");
    CHECK(there.wait().exit_code == 0);
    CHECK(world.known().find("race ready") != std::string::npos);
    // What failed is nobody's.
    project.write("tenant/0005_bad.sql", "SELECT 1/0;");
    CHECK(project.run({"tenant", "create", "broken", "--cluster", "eu"}).exit_code == 1);
    CHECK(world.known().find("broken") == std::string::npos);
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a name that could be two tenants' is neither's, whoever else is named") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    project.must({"tenant", "create", "twice", "--isolation", "database", "--database-prefix",
                  project.database.name() + "_"});
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    project.must({"tenant", "create", "twice", "--database-url", world.eu.conninfo()});
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"downgrade", "-y", "-s", "twice", "base"},
          {"downgrade", "-y", "-s", "twice", "-s", "far", "base"},
          {"upgrade", "-s", "far", "-s", "twice"},
          {"history", "-s", "twice"}})
      CHECK(fault(project.run(args), 2, {"several tenants are called twice"}) == "");
    CHECK(fault(project.run({"upgrade", "--create", "-s", "far"}), 2, {"lives on cluster eu"}) ==
          "");
    CHECK_FALSE(project.has_schema("far"));
  }

  TEST_CASE(
      "a claim that an application made over there is in the next run, and in the next sync") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    project.must({"gate", "install", "--cluster", "eu"});
    project.must({"tenant", "pool", "--keep", "1", "--cluster", "eu"});
    world.eu.execute("SELECT tenantctl.claim('signed_up')");
    CHECK(fault(project.run({"upgrade-all", "-o", "json"}), 0, {"eu:/signed_up"}) == "");
    CHECK(fault(project.run({"registry", "check", "-o", "json"}), 4, {"eu:signed_up"}) == "");
    CHECK(judged(project.run({"registry", "check", "-o", "json"}), "registry-check") == "");
    CHECK(fault(project.run({"registry", "sync", "eu"}), 0, {"eu: 1 tenant, 1 added\n"}) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a cluster that cannot be read keeps nobody else waiting, and is told by each run") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    world.join("us");
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    project.must(
        {"tenant", "create", "shares", "--isolation", "rows", "--home", "rows", "--cluster", "us"});
    project.tool.set_variable("US_URL", unreachable_url);
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "upgrade-all") == "");
    CHECK(results_of(run) == "eu:/far applied, here applied, us: unavailable");
    CHECK(fault(project.run({"upgrade-all", "--exclude", "us:"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all", "--tenants", "far"}), 1, {"us:"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--schema", "here"}), 0) == "");
    CHECK(fault(project.run({"upgrade", "--scope", "shared"}), 1, {"us:"}) == "");
    CHECK(fault(project.run({"plan"}), 1, {"us:"}) == "");
    CHECK(fault(project.run({"status"}), 1, {"us:", "unavailable"}) == "");
    CHECK(fault(project.run({"check"}), 1, {"us:"}) == "");
    const auto list = project.run({"tenant", "list", "-o", "json"});
    CHECK(list.exit_code == 1);
    CHECK(judged(list, "tenant-list") == "");
    CHECK(fault(project.run({"registry", "check"}), 4, {"us: a cluster that has joined, but"}) ==
          "");
    const auto sync = project.run({"registry", "sync", "-o", "json"});
    CHECK(sync.exit_code == 1);
    CHECK(judged(sync, "registry-sync") == "");
    CHECK(world.known() == "eu:far ready,us:shares ready");
    CHECK(fault(project.run({"tenant", "suspend", "shares", "--cluster", "us"}), 3) == "");
    project.tool.set_variable("US_URL", world.us.conninfo());
    // What it would have taken there the run has not learned: its own command finds out.
    const std::string id = json::parse(run.out)["run_id"];
    CHECK(fault(project.run({"retry", id}), 1, {"us:", "could not read it"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--only-failed", id}), 1, {"us:"}) == "");
    CHECK(fault(project.run({"upgrade", "-s", "us:"}), 2, {"\"us:\" does not exist"}) == "");
    CHECK(world.us.value("SELECT to_regclass('rows.d') IS NULL") == "t");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"us:/shared: applied"}) == "");
    CHECK(world.us.value("SELECT count(*) FROM rows.d") == "0");
    CHECK(fault(project.run({"check"}), 0) == "");

    project.tool.set_variable("US_URL", std::nullopt);
    CHECK(fault(project.run({"upgrade-all"}), 1, {"cluster \"us\"", "US_URL", "is not set"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--exclude", "us:"}), 0) == "");
    CHECK(fault(project.run({"registry", "leave", "us"}), 0, {"us has left"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
  }

  TEST_CASE("a plan is of those who could be read, and they are not gone when they cannot") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    project.must({"upgrade-all"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    project.must({"plan", "--file", "whole.json"});
    project.tool.set_variable("EU_URL", unreachable_url);
    CHECK(fault(project.run({"plan", "--file", "part.json"}), 1, {"eu:"}) == "");
    const auto run = project.run({"upgrade-all", "--plan", "whole.json", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(results_of(run) == "eu:/far unavailable, here applied");
    CHECK(json::parse(run.out)["shared"]["counts"]["unavailable"] == 1);
    project.tool.set_variable("EU_URL", world.eu.conninfo());
    CHECK(fault(project.run({"upgrade-all", "--plan", "part.json"}), 2,
                {"cluster eu could not be read when the plan was made"}) == "");
    CHECK(fault(project.run({"retry", json::parse(run.out)["run_id"]}), 0, {"eu:/far"}) == "");
  }

  TEST_CASE("a name that leads to another registry is not the cluster that joined") {
    Continents world;
    Project& project = world.project;
    world.join("eu");
    world.join("us");
    project.must({"tenant", "create", "far", "--cluster", "eu"});
    project.must({"tenant", "create", "victim"});
    const std::string known = world.known();
    std::string url;
    SUBCASE("the usual one") { url = project.database.conninfo(); }
    SUBCASE("the other cluster's") { url = world.us.conninfo(); }
    SUBCASE("none") {
      world.eu.execute("DROP SCHEMA tenantctl CASCADE");
      url = world.eu.conninfo();
    }
    project.tool.set_variable("EU_URL", url);
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"tenant", "create", "planted", "--cluster", "eu"},
          {"tenant", "drop", "victim", "--purge", "-y", "--cluster", "eu"},
          {"upgrade-all", "--cluster", "eu"},
          {"downgrade-all", "-y", "--cluster", "eu", "base"},
          {"status", "--cluster", "eu"}})
      CHECK(fault(project.run(args), 2, {"cluster eu"}) == "");
    CHECK(fault(project.run({"registry", "sync"}), 1, {"cluster eu"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"eu:"}) == "");
    CHECK(fault(project.run({"upgrade", "-s", "far"}), 3, {"tenant far lives on cluster eu"}) ==
          "");
    CHECK(fault(project.run({"status"}), 1, {"eu:"}) == "");
    CHECK(world.known() == known);
    CHECK(project.database.value("SELECT string_agg(slug, ',' ORDER BY slug) FROM "
                                 "tenantctl.tenant") == "here,victim");
    CHECK(world.us.value("SELECT count(*) FROM tenantctl.tenant") == "0");
  }

  TEST_CASE("what cannot join does not, and leaves nothing") {
    Continents world;
    Project& project = world.project;
    CHECK(fault(project.run({"registry", "join", "mars"}), 2, {"nothing says where cluster"}) ==
          "");
    CHECK(fault(project.run({"registry", "join", "eu"}), 2,
                {"cluster eu has no registry", "registry init --cluster eu"}) == "");
    CHECK(fault(project.run({"registry", "join", "main"}), 2, {"this very database"}) == "");
    project.must({"registry", "init", "--cluster", "eu"});
    const auto join = project.run({"registry", "join", "eu", "-o", "json"});
    CHECK(fault(join, 0) == "");
    CHECK(judged(join, "registry-join") == "");
    CHECK(fault(project.run({"registry", "join", "eu"}), 0, {"eu: 0 tenants\n"}) == "");
    CHECK(fault(project.run({"registry", "join", "eu2"}), 2,
                {"the registry of cluster eu2 has joined under another name"}) == "");
    world.eu.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, database_name, cluster, "
        "state) VALUES ('asia', 'asia', 'database', 't', 'd', 'asia', 'ready')");
    CHECK(fault(project.run({"registry", "join", "eu"}), 2, {"lives on a further one, asia"}) ==
          "");
    CHECK(fault(project.run({"status"}), 1, {"eu:", "lives on a further one"}) == "");
    world.eu.execute("DELETE FROM tenantctl.tenant");
    project.tool.set_variable("US_URL", unreachable_url);
    CHECK(fault(project.run({"registry", "join", "us"}), 3) == "");
    CHECK(project.database.value("SELECT string_agg(name, ',') FROM tenantctl.cluster") == "eu");

    world.eu.execute("UPDATE tenantctl.component SET version = 99 WHERE name = 'registry'");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"cluster eu: ", "a newer tenantctl"}) == "");
    world.eu.execute(
        "UPDATE tenantctl.component SET version = 2 WHERE name = 'registry'; DROP TABLE "
        "tenantctl.registry, tenantctl.cluster_tenant, tenantctl.cluster; DROP FUNCTION "
        "tenantctl.tenant_slug CASCADE");
    CHECK(fault(project.run({"status"}), 1, {"an older tenantctl"}) == "");
    CHECK(fault(project.run({"registry", "init", "--cluster", "eu"}), 0, {"version 3"}) == "");
    CHECK(fault(project.run({"status"}), 1, {"leads to another registry"}) == "");
    project.must({"registry", "leave", "eu"});
    project.must({"registry", "join", "eu"});
    CHECK(fault(project.run({"status"}), 0) == "");
    project.tool.folder().write("tenantctl.toml", "cluster = \"eu\"\n");
    CHECK(fault(project.run({"status"}), 2, {"unknown key \"cluster\""}) == "");
    project.tool.folder().write("tenantctl.toml", "");
    const auto leave = project.run({"registry", "leave", "eu", "-o", "json"});
    CHECK(fault(leave, 0) == "");
    CHECK(judged(leave, "registry-leave") == "");
    CHECK(fault(project.run({"registry", "leave", "eu"}), 2, {"has not joined"}) == "");
    CHECK(fault(project.run({"registry", "sync"}), 0, {"no cluster has joined\n"}) == "");
    CHECK(fault(project.run({"registry", "sync", "eu"}), 2, {"has not joined"}) == "");
  }
}
