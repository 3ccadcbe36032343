#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/pooler.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

struct PoolProject : Project {
  PoolProject() {
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    must({"registry", "init"});
    must({"gate", "install"});
  }

  std::string places() const {
    return database.value(
        "SELECT COALESCE(string_agg(schema_name || ' ' || state, ',' ORDER BY "
        "schema_name), '') FROM tenantctl.place");
  }
};

constexpr auto registered =
    "SELECT COALESCE(string_agg(slug || ' ' || schema_name || ' ' || state, ',' ORDER BY slug), "
    "'') "
    "FROM tenantctl.tenant";

}  // namespace

TEST_SUITE("cli/tenant pool") {
  TEST_CASE("it is filled, kept, and made smaller") {
    PoolProject project;
    const auto run = project.run({"tenant", "pool", "--keep", "3", "-o", "json"});
    CHECK(run.exit_code == 0);
    CHECK(judged(run, "tenant-pool") == "");
    CHECK(json::parse(run.out)["made"] == json{"pool_00001", "pool_00002", "pool_00003"});
    CHECK(fault(project.run({"tenant", "pool", "--keep", "3"}), 0,
                {"pool: 3 ready (0 made, 0 removed)\n"}) == "");
    CHECK(fault(project.run({"tenant", "pool", "--keep", "1", "--max", "2"}), 0,
                {"pool: 2 ready (0 made, 1 removed)\n"}) == "");
    CHECK(project.places() == "pool_00001 ready,pool_00002 ready");
    CHECK_FALSE(project.has_schema("pool_00003"));
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"registry", "init", "--adopt"}), 0, {"0 tenants adopted"}) == "");
    CHECK(json::parse(project.run({"tenant", "list", "-o", "json"}).out)["tenants"][0]["state"] ==
          "pool");
    CHECK(fault(project.run({"tenant", "drop", "pool_00001", "--yes"}), 2, {"of the pool"}) == "");
    CHECK(fault(project.run({"tenant", "pool", "--keep", "0"}), 0, {"0 ready"}) == "");
    CHECK(project.places() == "");
  }

  TEST_CASE("a revision that fails leaves nothing, and what a killed run left is completed") {
    PoolProject project;
    project.write("tenant/0002_bad.sql", "SELECT 1 / 0;", "SELECT 1;");
    CHECK(fault(project.run({"tenant", "pool", "--keep", "2"}), 1, {"division by zero"}) == "");
    CHECK(project.places() == "");
    CHECK_FALSE(project.has_schema("pool_00001"));
    project.remove("tenant/0002_bad.sql");
    project.database.execute(
        "INSERT INTO tenantctl.place (schema_name, purpose) VALUES "
        "('pool_00007', 'pool')");
    project.must({"tenant", "pool", "--keep", "2"});
    CHECK(project.places() == "pool_00007 ready,pool_00008 ready");
  }

  TEST_CASE("tenant create takes from it what is at head, and makes the rest") {
    PoolProject project;
    project.must({"tenant", "pool", "--keep", "1"});
    const auto run = project.run({"tenant", "create", "acme", "--name", "Acme Ltd", "--metadata",
                                  R"({"plan": "pro"})", "-o", "json"});
    CHECK(judged(run, "tenant-create") == "");
    CHECK(json::parse(run.out)["from_pool"] == true);
    CHECK(project.database.value(registered) == "acme acme ready");
    CHECK(project.database.value("SELECT metadata ->> 'plan' || name FROM tenantctl.tenant") ==
          "proAcme Ltd");
    CHECK(project.revision_of("acme") == "0001_a");
    CHECK(project.places() == "");
    CHECK(fault(project.run({"tenant", "create", "beta"}), 0, {"applied"}) == "");
    project.must({"tenant", "pool", "--keep", "1"});
    CHECK(fault(project.run({"tenant", "create", "beta"}), 2, {"there already"}) == "");
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    CHECK(fault(project.run({"tenant", "create", "gamma"}), 0, {"applied"}) == "");
    CHECK(project.places() == "pool_00001 ready");
    project.must({"upgrade-all"});
    CHECK(project.revision_of("pool_00001") == "0002_b");
    CHECK(fault(project.run({"tenant", "create", "delta"}), 0, {"from the pool"}) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }
}

TEST_SUITE("cli/claim") {
  TEST_CASE("two at once never get the same, and the last finds the pool empty") {
    PoolProject project;
    project.must({"tenant", "pool", "--keep", "8"});
    std::vector<std::string> answers(12);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      threads.emplace_back([&, i] {
        const std::string call = "SELECT tenantctl.claim('t" + std::to_string(i) + "')";
        const auto finished = run_process({"psql", "-XAtqd", project.database.conninfo(), "-v",
                                           "VERBOSITY=sqlstate", "-c", call});
        answers[i] = finished.exit_code == 0 ? "claimed" : finished.err;
      });
    }
    for (auto& thread : threads)
      thread.join();
    CHECK(std::count(answers.begin(), answers.end(), "claimed") == 8);
    CHECK(std::count(answers.begin(), answers.end(), "ERROR:  TG007\n") == 4);
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant t JOIN pg_namespace n ON "
                                 "n.nspname = t.schema_name WHERE state = 'ready'") == "8");
    CHECK(project.places() == "");
  }

  TEST_CASE("only a role that may claims, and never with names of its own invention") {
    PoolProject project;
    const std::string app = project.database.second_role();
    project.must({"tenant", "pool", "--keep", "2"});
    const auto claim = [&](const std::string& arguments) {
      try {
        project.database.execute("BEGIN; SET LOCAL ROLE " + app);
        project.database.execute("SELECT tenantctl.claim(" + arguments + "); COMMIT");
        return std::string("claimed");
      } catch (const std::runtime_error& error) {
        project.database.execute("ROLLBACK");
        return std::string(error.what());
      }
    };
    CHECK(contains(claim("'acme'"), "permission denied"));
    project.must({"gate", "install", "--claim-role", app});
    const auto shown = project.run({"gate", "show", "-o", "json"});
    CHECK(judged(shown, "gate-show") == "");
    CHECK(contains(shown.out, "\"may_claim\": true"));
    CHECK(contains(claim("'acme', schema_name => 'pg_evil'"), "no name for a tenant"));
    CHECK(contains(claim("'acme', schema_name => 'public'"), "no name for a tenant"));
    CHECK(contains(claim("'acme', minimum_revision => '0009'"), "no tenant at 0009"));
    CHECK(contains(claim("'acme', minimum_revision => 'x'"), "is no revision"));
    CHECK(claim("'acme-corp', 'Acme', '0001'") == "claimed");
    CHECK(project.database.value(registered) == "acme-corp acme_corp ready");
    CHECK(contains(claim("'acme-corp'"), "already exists"));
    CHECK(project.places() == "pool_00002 ready");
  }

  TEST_CASE("through a transaction pooler it is as through none") {
    PoolProject project;
    const std::string app = project.database.second_role();
    project.must({"gate", "install", "--claim-role", app, "--runtime-role", app});
    project.must({"tenant", "pool", "--keep", "1"});
    const Pooler pooler(1);
    const std::string pooled = pooled_conninfo(project.database.conninfo_as(app), pooler.address());
    const auto ask = [&pooled](const std::string& call) {
      const auto finished = run_process(
          {"psql", "-XAtqd", pooled, "-v", "VERBOSITY=sqlstate", "-c", "SELECT tenantctl." + call});
      return finished.exit_code == 0 ? "claimed" : finished.err;
    };
    CHECK(ask("claim('acme', NULL, '0002')") == "ERROR:  TG007\n");
    CHECK(ask("claim('acme')") == "claimed");
    CHECK(ask("claim('beta')") == "ERROR:  TG007\n");
    CHECK(ask("require_tenant()") == "ERROR:  TG005\n");
    CHECK(pooler.leftovers(project.database).empty());
  }

  TEST_CASE("a schema that is being upgraded stays in the pool") {
    PoolProject project;
    project.must({"tenant", "pool", "--keep", "1"});
    project.database.execute(
        "BEGIN; SELECT pg_advisory_xact_lock(1952670769, "
        "'pool_00001'::regnamespace::oid::int4)");
    const auto claim = [&] {
      return run_process({"psql", "-XAtqd", project.database.conninfo(), "-v", "VERBOSITY=sqlstate",
                          "-c", "SELECT tenantctl.claim('acme')"});
    };
    CHECK(claim().err == "ERROR:  TG007\n");
    project.database.execute("COMMIT");
    CHECK(claim().exit_code == 0);
  }
}
