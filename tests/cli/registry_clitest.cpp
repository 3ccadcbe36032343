#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

TEST_SUITE("cli/registry init") {
  TEST_CASE("the registry is made once, and said to be there the second time") {
    Project project;
    CHECK(fault(project.run({"registry", "init"}), 0, {"registry installed, version 2\n"}) == "");
    CHECK(fault(project.run({"registry", "init"}), 0, {"registry unchanged, version 2\n"}) == "");
    const auto run = project.run({"registry", "init", "-o", "json"});
    CHECK(judged(run, "registry-init") == "");
    CHECK(json::parse(run.out)["action"] == "unchanged");
    CHECK(project.database.value("SELECT version FROM tenantctl.component WHERE name = "
                                 "'registry'") == "2");
  }

  TEST_CASE("--adopt registers who is there by mark, as ready, and nobody twice") {
    Project project;
    project.write_abc();
    project.create_tenants(3);
    project.database.execute("CREATE SCHEMA bare; ALTER SCHEMA t003 RENAME TO \"Big One\"");
    const auto run = project.run({"registry", "init", "--adopt", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "registry-init") == "");
    const auto document = json::parse(run.out);
    CHECK(document["adopted"] == json{"t001", "t002"});
    CHECK(document["skipped"] == json{"Big One"});
    project.database.execute("ALTER SCHEMA \"Big One\" RENAME TO t003");
    CHECK(fault(project.run({"registry", "init", "--adopt"}), 0,
                {"1 tenant adopted as ready, 2 known before\n"}) == "");
    CHECK(project.database.value("SELECT string_agg(slug || ' ' || state, ',' ORDER BY slug) FROM "
                                 "tenantctl.tenant") == "t001 ready,t002 ready,t003 ready");
  }

  TEST_CASE("a slug that another tenant bears is not taken from it") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.must({"registry", "init"});
    project.database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
        "VALUES ('t001', 'One', 'schema', 'elsewhere', 'ready')");
    CHECK(fault(project.run({"registry", "init", "--adopt"}), 1,
                {"0 tenants adopted", "t001 cannot be registered under its name\n", "HINT:"}) ==
          "");
    CHECK(project.database.value("SELECT schema_name FROM tenantctl.tenant") == "elsewhere");
  }

  TEST_CASE("a schema of somebody else's is not used") {
    Project project;
    const auto role = project.database.second_role();
    project.database.execute("CREATE SCHEMA tenantctl AUTHORIZATION " + role);
    CHECK(fault(project.run({"registry", "init"}), 2,
                {"the registry cannot be used", "not ours", "HINT:"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_class WHERE relname = 'tenant'") == "0");
    CHECK(fault(project.run({"registry", "init", "--owner", role}), 0) == "");
  }

  TEST_CASE("a newer registry is left alone") {
    Project project;
    project.must({"registry", "init"});
    project.database.execute("UPDATE tenantctl.component SET version = 99");
    CHECK(fault(project.run({"registry", "init"}), 2, {"a newer tenantctl", "HINT:"}) == "");
  }
}

TEST_SUITE("cli/registry") {
  constexpr auto rows =
      "SELECT COALESCE(string_agg(slug || ' ' || schema_name || ' ' || tier || ' ' || state || ' ' "
      "|| metadata, ',' ORDER BY slug), '') FROM tenantctl.tenant";

  TEST_CASE("a tenant that is made is registered, ready, with what was said of it") {
    Project project;
    project.write_abc();
    CHECK(fault(project.run({"tenant", "create", "one", "--tier", "gold"}), 2,
                {"there is no registry", "HINT: tenantctl registry init"}) == "");
    CHECK_FALSE(project.has_schema("one"));
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one", "--slug", "acme-1", "--tier", "gold", "--metadata",
                  "{\"plan\": 1}"});
    project.must({"tenant", "create", "two", "three"});
    CHECK(project.database.value(rows) ==
          "acme-1 one gold ready {\"plan\": 1},three three standard ready {},"
          "two two standard ready {}");
    CHECK(fault(project.run({"tenant", "create", "four", "--slug", "two"}), 2,
                {"tenant two is registered already: ready, in schema two"}) == "");
    CHECK(fault(project.run({"tenant", "create", "five", "--metadata", "[]"}), 2,
                {"no JSON object"}) == "");
    CHECK(fault(project.run({"tenant", "create", "six", "--slug", "Six"}), 2, {"is no slug"}) ==
          "");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "3");
    project.must({"tenant", "drop", "one", "--yes"});
    CHECK(fault(project.run({"registry", "check"}), 0, {"registry and schemas agree\n"}) == "");
  }

  TEST_CASE("a failure leaves neither schema nor row") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.write("tenant/0004_bad.sql", "SELECT 1 / 0;");
    CHECK(fault(project.run({"tenant", "create", "one", "two"}), 1,
                {"2 failed", "division by zero", "Nothing of the tenant was kept"}) == "");
    CHECK_FALSE(project.has_schema("one"));
    CHECK(project.database.value(rows) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "-n"}), 0) == "");
    CHECK(project.database.value(rows) == "");
  }

  TEST_CASE("killed in the middle, a tenant is completed by making it again") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.write("tenant/0004_slow.sql", "SELECT pg_sleep(600);");
    auto process = project.tool.start({"tenant", "create", "one"});
    for (int i = 0; i < 300 && !project.has_table("one", "c"); ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    CHECK(project.database.value("SELECT state FROM tenantctl.tenant") == "provisioning");
    CHECK(fault(project.run({"tenant", "create", "one"}), 2, {"Another run is making it"}) == "");
    process.kill(SIGKILL);
    process.wait();
    project.database.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE "
        "'tenantctl/%' AND datname = current_database()");
    CHECK(fault(project.run({"registry", "check"}), 4, {"one: provisioning"}) == "");
    project.write("tenant/0004_slow.sql", "SELECT 1;");
    CHECK(fault(project.run({"tenant", "create", "one"}), 0) == "");
    CHECK(project.revision_of("one") == "0004_slow");
    CHECK(project.database.value(rows) == "one one standard ready {}");
  }

  TEST_CASE("states change one way and back, with a result for each tenant") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    CHECK(fault(project.run({"tenant", "suspend", "t001"}), 2, {"there is no registry"}) == "");
    project.must({"registry", "init", "--adopt"});
    CHECK(fault(project.run({"tenant", "suspend", "t001", "--reason", "unpaid"}), 0,
                {"suspended t001\n"}) == "");
    CHECK(project.database.value("SELECT metadata #>> '{tenantctl,reason}' FROM tenantctl.tenant "
                                 "WHERE slug = 't001'") == "unpaid");
    CHECK(fault(project.run({"tenant", "resume", "t001", "t002"}), 0,
                {"ready t001\n", "unchanged t002\n"}) == "");
    project.must({"tenant", "archive", "t001"});
    CHECK(fault(project.run({"tenant", "suspend", "t001", "t002"}), 1,
                {"suspended t002\n", "t001: failed: it is archived"}) == "");
    CHECK(fault(project.run({"tenant", "resume", "nobody", "t001"}), 2,
                {"no tenant \"nobody\" is registered"}) == "");
  }

  TEST_CASE("check names where registry and schemas disagree") {
    Project project;
    project.write_abc();
    project.create_tenants(4);
    CHECK(fault(project.run({"registry", "check"}), 2, {"there is no registry"}) == "");
    project.must({"registry", "init", "--adopt"});
    project.database.execute(
        "DELETE FROM tenantctl.tenant WHERE slug = 't001'; DROP SCHEMA t002 CASCADE; "
        "DROP TABLE t003.tenantctl_version");
    const auto run = project.run({"registry", "check", "-o", "json"});
    CHECK(run.exit_code == 4);
    const auto document = json::parse(run.out);
    CHECK(document["unregistered"] == json{"t001"});
    CHECK(document["missing"] == json{"t002"});
    CHECK(document["unversioned"] == json{"t003"});
  }
}
