#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

TEST_SUITE("cli/registry init") {
  TEST_CASE("the registry is made once, and said to be there the second time") {
    Project project;
    CHECK(fault(project.run({"registry", "init"}), 0, {"registry installed, version 3\n"}) == "");
    CHECK(fault(project.run({"registry", "init"}), 0, {"registry unchanged, version 3\n"}) == "");
    const auto run = project.run({"registry", "init", "-o", "json"});
    CHECK(judged(run, "registry-init") == "");
    CHECK(json::parse(run.out)["action"] == "unchanged");
    CHECK(project.database.value("SELECT version FROM tenantctl.component WHERE name = "
                                 "'registry'") == "3");
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
    project.end_sessions_of_the_tool();
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

TEST_SUITE("cli/tenant show") {
  TEST_CASE("a tenant is shown from all sides, by slug or schema") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one", "--slug", "acme-1", "--tier", "gold", "--metadata",
                  "{\"plan\": 1}"});
    project.must({"tenant", "suspend", "acme-1", "--reason", "unpaid"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    for (const auto* const name : {"acme-1", "one"}) {
      const auto run = project.run({"tenant", "show", name, "-o", "json"});
      CHECK(fault(run, 0) == "");
      CHECK(judged(run, "tenant-show") == "");
      const auto document = json::parse(run.out);
      CHECK(document["schema"] == "one");
      CHECK(document["revision"] == "0003_c");
      CHECK(document["applied"] == 3);
      CHECK(document["pending"] == 1);
      CHECK(document["tables"] == 4);
      CHECK(document["bytes"] > 8192);
      CHECK(document["registered"]["state"] == "suspended");
      CHECK(document["registered"]["reason"] == "unpaid");
      CHECK(document["registered"]["metadata"]["plan"] == 1);
      CHECK(document["disagreements"] == json::array());
    }
    CHECK(fault(project.run({"tenant", "show", "acme-1"}), 0,
                {"schema one", "0003_c", "pending    1 revision\n", "gold", ": unpaid\n",
                 "{\"plan\":1}"}) == "");
  }

  TEST_CASE("without a registry the schema is all there is to show") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.database.execute("CREATE SCHEMA bare; CREATE SCHEMA shared");
    const auto run = project.run({"tenant", "show", "t001", "-o", "json"});
    CHECK(judged(run, "tenant-show") == "");
    CHECK_FALSE(json::parse(run.out).contains("registered"));
    CHECK(fault(project.run({"tenant", "show", "t001"}), 0, {"pending   nothing\n"}) == "");
    for (const auto* const name : {"t002", "bare", "shared"})
      CHECK(fault(project.run({"tenant", "show", name}), 2,
                  {"there is no tenant", "HINT: tenantctl tenant list"}) == "");
  }

  TEST_CASE("disagreement is told, and a locked table keeps only the size from us") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.must({"registry", "init", "--adopt"});
    project.database.execute(
        "DROP SCHEMA t001 CASCADE; DELETE FROM tenantctl.tenant WHERE slug = "
        "'t002'");
    CHECK(fault(project.run({"tenant", "show", "t001"}), 0,
                {"registered, but there is no such schema\n"}) == "");
    project.database.execute("BEGIN; LOCK TABLE t002.a IN ACCESS EXCLUSIVE MODE");
    CHECK(fault(project.run({"tenant", "show", "t002"}), 0,
                {"a version table, but not registered\n", "not known: a table is locked"}) == "");
    project.database.execute("ROLLBACK");
  }
}

TEST_SUITE("cli/tenant list") {
  TEST_CASE("the registry's columns and filters") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one", "--tier", "gold"});
    project.must({"tenant", "create", "two", "three"});
    project.must({"tenant", "suspend", "two"});
    project.database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, database_name, schema_name, state) "
        "VALUES ('far', 'Far', 'database', 'far_db', 't', 'provisioning'); DELETE FROM "
        "tenantctl.tenant "
        "WHERE slug = 'three'");
    const auto run = project.run({"tenant", "list", "-o", "json"});
    CHECK(judged(run, "tenant-list") == "");
    const auto names = [&](const std::vector<std::string>& args) {
      std::vector<std::string> line{"tenant", "list", "-o", "json"};
      line.insert(line.end(), args.begin(), args.end());
      std::string text;
      const auto document = json::parse(project.must(line));
      for (const auto& tenant : document["tenants"])
        text += tenant["schema"].get<std::string>() + " ";
      return text;
    };
    CHECK(names({}) == "far_db/t one three two ");
    CHECK(names({"--tier", "gold"}) == "one ");
    CHECK(names({"--state", "suspended"}) == "two ");
    CHECK(names({"--state", "suspended", "--state", "ready"}) == "one two ");
    CHECK(names({"--isolation", "database"}) == "far_db/t ");
    CHECK(names({"--exclude-state", "suspended"}) == "far_db/t one three ");
    CHECK(names({"--tenants", "t*"}) == "three two ");
    CHECK(fault(project.run({"tenant", "list"}), 0,
                {"schema    revision  mark       slug  tier      isolation  state\n",
                 "far_db/t  -         elsewhere  far   standard  database   provisioning\n",
                 "one       0003_c    ok         one   gold      schema     ready\n",
                 "not registered\n"}) == "");
    CHECK(fault(project.run({"tenant", "list", "--state", "archived"}), 2, {"matches no tenant"}) ==
          "");
  }

  TEST_CASE("suspended tenants are upgraded unless they are excluded") {
    Project project;
    project.write_abc();
    project.create_tenants(3);
    CHECK(fault(project.run({"upgrade-all", "--exclude-state", "suspended"}), 2,
                {"there is no registry", "HINT: tenantctl registry init --adopt"}) == "");
    project.must({"registry", "init", "--adopt"});
    project.must({"tenant", "suspend", "t002"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    CHECK(fault(project.run({"upgrade-all", "--exclude-state", "suspended"}), 0,
                {"tenants  2 applied"}) == "");
    CHECK(project.revision_of("t002") == "0003_c");
    CHECK(fault(project.run({"check", "--exclude-state", "suspended"}), 0) == "");
    CHECK(fault(project.run({"check", "--state", "suspended"}), 4, {"t002"}) == "");
    CHECK(fault(project.run({"status", "--state", "suspended"}), 0, {"t002"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"tenants  1 applied, 2 unchanged"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--state", "gone"}), 2, {"--state"}) == "");
  }

  TEST_CASE("documents of registry check, suspend, resume and archive fit their schemas") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.must({"registry", "init", "--adopt"});
    CHECK(judged(project.run({"registry", "check", "-o", "json"}), "registry-check") == "");
    for (const std::string verb : {"suspend", "resume", "archive"})
      CHECK(judged(project.run({"tenant", verb, "t001", "-o", "json"}), "tenant-" + verb) == "");
    const auto run = project.run({"tenant", "suspend", "t001", "t002", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "tenant-suspend") == "");
  }
}
