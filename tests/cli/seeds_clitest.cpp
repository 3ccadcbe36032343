#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/database_project.h"
#include "support/process.h"
#include "support/rollout_bench.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

constexpr auto admin_seed =
    "-- tenantctl: param email\n-- tenantctl: param plan = free\n"
    "INSERT INTO users (email, plan, who) VALUES (current_setting('tenantctl.param_email'),\n"
    "  current_setting('tenantctl.param_plan'), current_setting('tenantctl.param_tenant_slug'));\n";

constexpr auto admins = "SELECT string_agg(email || ' ' || plan || ' ' || who, ',') FROM ";

struct SeedProject : DatabaseProject {
  SeedProject() {
    write("tenant/0001_users.sql",
          "CREATE TABLE users (email text UNIQUE, plan text NOT NULL, who text);",
          "DROP TABLE users;");
    seed("admin", admin_seed);
  }

  void seed(const std::string& name, const std::string& sql) const {
    tool.folder().write("migrations/tenant/seeds/" + name + ".sql", sql);
  }

  // Until a seed sleeps.
  void wait_for_sleep() const {
    constexpr int most_looks = 600;
    for (int i = 0; i < most_looks; ++i) {
      if (database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND "
                         "datname = current_database()") != "0")
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  std::string records(const std::string& schema) const {
    return database.value(
        "SELECT COALESCE(string_agg(tenant || name || ' ' || applied_by, ',' "
        "ORDER BY tenant, name), '') = '' || COALESCE(string_agg(tenant || name "
        "|| ' ' || SESSION_USER, ',' ORDER BY tenant, name), '') AND count(*) > 0 "
        "FROM " +
        schema + ".tenantctl_version_seed");
  }

  std::string record_count(const std::string& schema) const {
    return database.value("SELECT count(*) FROM " + schema + ".tenantctl_version_seed");
  }

  json shown(const std::string& tenant) const {
    return json::parse(run({"tenant", "show", tenant, "-o", "json"}).out)["seeds"];
  }
};

// With a home whose tables say whose a row is.
struct RowsSeedProject : SeedProject {
  RowsSeedProject() {
    must({"gate", "install"});
    remove("tenant/0001_users.sql");
    write("tenant/0001_users.sql",
          "CREATE TABLE users (tenant_id uuid NOT NULL DEFAULT tenantctl.require_tenant(),\n"
          "  email text, plan text NOT NULL, who text, UNIQUE (tenant_id, email));\n"
          "ALTER TABLE users ENABLE ROW LEVEL SECURITY;\n"
          "ALTER TABLE users FORCE ROW LEVEL SECURITY;\n"
          "CREATE POLICY tenant ON users USING (tenant_id = tenantctl.current_tenant());",
          "DROP TABLE users;");
  }
};

}  // namespace

TEST_SUITE("cli/seeds") {
  TEST_CASE("a new tenant has its seeds, once, in each isolation") {
    RowsSeedProject project;
    project.must({"tenant", "create", "acme", "--param", "email=a@x"});
    project.must({"tenant", "create", "globex", "--isolation", "database", "--param", "email=g@x"});
    project.must({"tenant", "create", "r1", "r2", "--isolation", "rows", "--home", "home",
                  "--param", "email=r@x", "--param", "plan=pro"});
    CHECK(project.database.value(std::string(admins) + "acme.users") == "a@x free acme");
    CHECK(project.inside("globex", std::string(admins) + "tenant.users") == "g@x free globex");
    CHECK(project.database.value("SELECT count(DISTINCT t.id) FROM home.tenantctl_version_seed "
                                 "s JOIN tenantctl.tenant t ON t.id::text = s.tenant") == "2");
    CHECK(project.states() == "acme ready,globex ready,r1 ready,r2 ready");
    CHECK(project.records("acme") == "t");
    const auto again = project.run({"tenant", "seed", "--all", "--param", "email=b@x"});
    CHECK(fault(again, 0, {"unchanged: 4 tenants\n"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM acme.users") == "1");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("parameters arrive as they are given") {
    SeedProject project;
    const std::string odd = "o'Hara \\ \"x\"\n$1 $$; '; DROP TABLE users; -- :'schema' \xC3\xA9";
    project.tool.folder().write("secret", odd + "\n");
    project.must({"tenant", "create", "acme", "--param", "email=" + odd});
    project.must({"tenant", "create", "beta", "--param", "email=@secret"});
    project.must({"tenant", "create", "gamma", "--param", "email=@@home", "--param", "plan="});
    project.tool.set_variable("TENANTCTL_PARAM_EMAIL", odd);
    project.must({"tenant", "create", "delta"});
    for (const char* tenant : {"acme", "beta", "delta"}) {
      CAPTURE(tenant);
      CHECK(project.database.value("SELECT email FROM " + std::string(tenant) + ".users") == odd);
    }
    CHECK(project.database.value("SELECT email || '|' || plan FROM gamma.users") == "@home|");
  }

  TEST_CASE("a seed reads them in DO, in functions and in what it defines") {
    SeedProject project;
    project.seed(
        "admin",
        "-- tenantctl: param n = 7\n"
        "CREATE FUNCTION n() RETURNS text LANGUAGE sql AS\n"
        "  $$ SELECT current_setting('tenantctl.param_n') $$;\n"
        "DO $$ BEGIN EXECUTE format('CREATE TABLE made (n int DEFAULT %L)', n()); END $$;\n"
        "INSERT INTO made DEFAULT VALUES;\n");
    project.must({"tenant", "create", "acme", "--metadata", R"({"a": 1})"});
    CHECK(project.database.value("SELECT n FROM acme.made") == "7");
    project.seed("built_in",
                 "CREATE TABLE said AS SELECT current_setting('tenantctl.param_tenant_id') AS id,\n"
                 "  current_setting('tenantctl.param_tenant_tier') AS tier,\n"
                 "  current_setting('tenantctl.param_tenant_metadata')::jsonb ->> 'a' AS a;\n");
    project.must({"tenant", "seed", "acme"});
    CHECK(project.database.value("SELECT s.tier || s.a FROM acme.said s JOIN tenantctl.tenant t ON "
                                 "t.id::text = s.id") == "standard1");
  }

  TEST_CASE("a missing parameter, an unknown one, and what cannot be one are exit 2") {
    SeedProject project;
    CHECK(fault(project.run({"tenant", "create", "acme"}), 2,
                {"seed admin needs parameter email", "admin.sql:1", "TENANTCTL_PARAM_EMAIL"}) ==
          "");
    const auto refused = [&](const std::string& param, std::string_view why) {
      const auto run =
          project.run({"tenant", "create", "acme", "--param", "email=hidden", "--param", param});
      CHECK(fault(run, 2, {why}) == "");
      CHECK_FALSE(contains(run.out + run.err, "hidden"));
    };
    refused("emial=x", "no seed that runs has a parameter emial");
    refused("email=x", "parameter email is given twice");
    refused("plan", "is not NAME=VALUE");
    refused("tenant_id=x", "no seed that runs has a parameter tenant_id");
    refused("plan=@nowhere", "cannot be read");
    refused("plan=@.", "cannot be read");
    refused("plan=@/dev/zero", "is no UTF-8 text");
    refused("plan=\xFF", "is no UTF-8 text");
    CHECK(project.states() == "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(fault(project.run({"tenant", "seed"}), 2, {"tenant seed needs a name"}) == "");
    CHECK(fault(project.run({"tenant", "seed", "nobody", "--param", "email=x"}), 2,
                {"there is no tenant"}) == "");
    CHECK(fault(project.run({"tenant", "seed", "--all", "--only-seed", "no"}), 2,
                {"there is no seed"}) == "");
  }

  TEST_CASE("what a seed may not hold is refused before anything is made") {
    SeedProject project;
    for (const char* sql : {"COMMIT;", "COPY users FROM STDIN;", "VACUUM users;", "\\d\n"}) {
      CAPTURE(sql);
      project.seed("bad", sql);
      CHECK(fault(project.run({"tenant", "create", "acme", "--param", "email=x"}), 2) == "");
    }
    CHECK_FALSE(project.has_schema("acme"));
  }

  TEST_CASE("a seed that fails leaves nothing of a new tenant, in each isolation") {
    RowsSeedProject project;
    project.must({"tenant", "create", "r0", "--isolation", "rows", "--home", "home", "--param",
                  "email=r@x"});
    project.seed("bad", "INSERT INTO users (plan)\n  VALUES (1 / 0);");
    const auto schema = project.run({"tenant", "create", "acme", "--param", "email=secret@x"});
    CHECK(fault(schema, 1, {"seed bad failed: division by zero", "bad.sql", "Nothing of the"}) ==
          "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(fault(project.run({"tenant", "create", "globex", "--isolation", "database", "--param",
                             "email=x"}),
                1, {"division by zero"}) == "");
    CHECK_FALSE(project.has_database("globex"));
    CHECK(fault(project.run(
                    {"tenant", "create", "r1", "r2", "--isolation", "rows", "--param", "email=x"}),
                1, {"division by zero"}) == "");
    CHECK(project.states() == "r0 ready");
    CHECK(project.record_count("home") == "1");
  }

  TEST_CASE("values are nowhere to be read: messages, ledger, log, what sessions are doing") {
    SeedProject project;
    project.seed("bad",
                 "-- tenantctl: param email\n"
                 "INSERT INTO users (email, plan) VALUES "
                 "(current_setting('tenantctl.param_email'), '');");
    const ServerLog log;
    const auto run = project.run({"tenant", "create", "acme", "--param", "email=top-secret"});
    CHECK(fault(run, 1, {"seed bad failed", "duplicate key", "not shown"}) == "");
    CHECK_FALSE(contains(run.out + run.err, "top-secret"));
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.run_schema s WHERE s::text LIKE "
                                 "'%top-secret%'") == "0");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.run r WHERE r::text LIKE "
                                 "'%top-secret%'") == "0");
    project.seed("bad", "SELECT pg_sleep(0);");
    project.seed("see",
                 "CREATE TABLE seen AS SELECT count(*) AS n FROM pg_stat_activity "
                 "WHERE query LIKE '%plainly' || '-hidden%';");
    project.must({"tenant", "create", "beta", "--param", "email=plainly-hidden"});
    CHECK(project.database.value("SELECT n FROM beta.seen") == "0");
    CHECK(log.lines("plainly-hidden").empty());
  }

  TEST_CASE("nor where the server cuts, quotes or writes them otherwise") {
    SeedProject project;
    const auto failing = [&project](const std::string& sql, const std::string& email,
                                    const std::string& token) {
      project.seed("cut", "-- tenantctl: param token\n" + sql);
      const auto run = project.run(
          {"tenant", "create", "acme", "--param", "email=" + email, "--param", "token=" + token});
      CHECK(run.exit_code == 1);
      return run.out + run.err;
    };
    const std::string setting = "current_setting('tenantctl.param_token')";
    const std::string cut = failing(
        "CREATE TABLE t (a text CHECK (length(a) < 50));\nINSERT INTO t VALUES (" + setting + ");",
        "x@y", "tok-" + std::string(100, 'y'));
    CHECK(contains(cut, "violates check constraint"));
    CHECK_FALSE(contains(cut, "tok-yyy"));
    const std::string escaped =
        failing("DO $$ BEGIN RAISE EXCEPTION 'no %', to_json(" + setting + "); END $$;", "hun",
                "hunter\"2");
    CHECK(contains(escaped, "no \"<token>\""));
    CHECK_FALSE(contains(escaped, "ter\\"));
    const std::string piece =
        failing("SELECT ('{' || " + setting + ")::json;", "x@y", "secretword rest");
    CHECK(contains(piece, "invalid input syntax"));
    CHECK_FALSE(contains(piece, "secretword"));
  }

  TEST_CASE("those that are there get what they lack, and one that fails stops no other") {
    SeedProject project;
    project.must({"tenant", "create", "a1", "a2", "a3", "--param", "email=x"});
    project.seed("later", "-- tenantctl: param email = y\nINSERT INTO users VALUES ('y', 'p');");
    project.database.execute("INSERT INTO a2.users VALUES ('y', 'p')");
    const auto run = project.run({"tenant", "seed", "--all", "--param", "email=x", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "tenant-seed") == "");
    const json told = json::parse(run.out)["tenants"];
    CHECK(told[0]["seeds"] == json{"later"});
    CHECK(told[1]["result"] == "failed");
    CHECK(contains(told[1]["message"].get<std::string>(), "seeds/later.sql:2)"));
    CHECK(told[2]["seeds"] == json{"later"});
    CHECK(project.shown("a2")["pending"] == json{"later"});
    CHECK(project.shown("a1")["applied"].size() == 2);
    CHECK(judged(project.run({"tenant", "show", "a2", "-o", "json"}), "tenant-show") == "");
    project.database.execute("DELETE FROM a2.users WHERE email = 'y'");
    CHECK(fault(project.run({"tenant", "seed", "--tenants", "a*", "--only-seed", "later"}), 0,
                {"seeded a2: later\nunchanged: 2 tenants\n"}) == "");
  }

  TEST_CASE("an edited seed does not run again, and is told") {
    SeedProject project;
    project.must({"tenant", "create", "acme", "--param", "email=x"});
    project.seed("admin", "INSERT INTO users VALUES ('z', 'z');");
    CHECK(fault(project.run({"tenant", "seed", "acme"}), 0,
                {"unchanged: 1 tenant\nedited since it ran: admin in acme\n"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM acme.users") == "1");
    CHECK(project.shown("acme")["applied"][0]["edited"] == true);
    CHECK(contains(project.run({"tenant", "show", "acme"}).out, "; edited since"));
  }

  TEST_CASE("renamed, cloned, dropped and brought back, a tenant keeps what it has") {
    SeedProject project;
    project.must({"tenant", "create", "acme", "--param", "email=x"});
    project.must({"tenant", "rename", "acme", "acme2"});
    const bool copies = has_fitting_pg_dump(project);
    if (copies)
      project.must({"tenant", "clone", "acme2", "copy"});
    project.must({"tenant", "drop", "acme2", "--yes"});
    project.must({"tenant", "undrop", "acme2"});
    CHECK(fault(project.run({"tenant", "seed", "--all", "--param", "email=y"}), 0,
                {copies ? "unchanged: 2 tenants\n" : "unchanged: 1 tenant\n"}) == "");
    CHECK(project.record_count(copies ? "copy" : "acme2") == "1");
  }

  TEST_CASE("moved, a tenant is not seeded again; erased, it takes its record along") {
    RowsSeedProject project;
    project.must({"tenant", "create", "r1", "r2", "--isolation", "rows", "--home", "home",
                  "--param", "email=x"});
    for (const char* to : {"schema", "database", "rows"}) {
      CAPTURE(to);
      project.must({"tenant", "move", "r1", "--to", to});
      CHECK(project.shown("r1")["applied"].size() == 1);
      project.must({"tenant", "move", "r1", "--confirm"});
      CHECK(fault(project.run({"tenant", "seed", "--all", "--param", "email=y"}), 0,
                  {"unchanged: 2 tenants\n"}) == "");
      CHECK(project.record_count("home") == (std::string(to) == "rows" ? "2" : "1"));
    }
    project.must({"tenant", "drop", "r2", "--purge", "--yes"});
    CHECK(project.record_count("home") == "1");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a tenant out of the pool is seeded in the transaction that takes it") {
    SeedProject project;
    project.must({"gate", "install"});
    project.must({"tenant", "pool", "--keep", "2"});
    project.seed("bad", "SELECT 1 / 0;");
    CHECK(fault(project.run({"tenant", "create", "acme", "--param", "email=x"}), 1,
                {"division by zero"}) == "");
    CHECK(project.states() == "");
    CHECK(project.has_schema("pool_00001"));
    project.seed("bad", "SELECT 1;");
    CHECK(fault(project.run({"tenant", "create", "acme", "--param", "email=x"}), 0,
                {"from the pool"}) == "");
    CHECK(project.database.value(std::string(admins) + "acme.users") == "x free acme");
    CHECK(fault(project.run({"tenant", "seed", "--all", "--param", "email=y"}), 0,
                {"unchanged: 1 tenant\n"}) == "");
    project.database.value("SELECT tenantctl.claim('beta')");
    CHECK(fault(project.run({"tenant", "seed", "--all", "--param", "email=y"}), 0,
                {"seeded beta: admin, bad\n"}) == "");
  }

  TEST_CASE("a table that somebody planted is never written") {
    SeedProject project;
    project.must({"tenant", "create", "acme", "--param", "email=x"});
    project.database.execute(
        "DROP TABLE acme.tenantctl_version_seed; CREATE TABLE acme.tenantctl_version_seed "
        "(tenant text, name text, checksum text, xid xid8, applied_at timestamptz, applied_by "
        "text, run_id uuid, tool_version text);"
        "CREATE FUNCTION acme.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER t BEFORE INSERT ON acme.tenantctl_version_seed FOR EACH ROW EXECUTE "
        "FUNCTION acme.f()");
    CHECK(fault(project.run({"tenant", "seed", "acme", "--param", "email=y"}), 1,
                {"is not ours alone"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM acme.users") == "1");
  }

  TEST_CASE("killed in the middle, nothing is half done and the next run finishes it") {
    SeedProject project;
    project.seed("slow", "INSERT INTO users VALUES ('slow', 'p'); SELECT pg_sleep(30);");
    auto running = project.tool.start({"tenant", "create", "acme", "--param", "email=x"});
    project.wait_for_sleep();
    running.kill(SIGKILL);
    running.wait();
    project.end_sessions_of_the_tool();
    CHECK(project.states() == "acme provisioning");
    CHECK(project.database.value("SELECT count(*) FROM acme.users") == "0");
    project.seed("slow", "INSERT INTO users VALUES ('quick', 'p');");
    project.must({"tenant", "create", "acme", "--param", "email=x"});
    CHECK(project.states() == "acme ready");
    CHECK(project.database.value("SELECT string_agg(email, ',' ORDER BY email) FROM acme.users") ==
          "quick,x");
  }

  TEST_CASE("interrupted, the seed under way is cancelled and the rest not started") {
    SeedProject project;
    project.must({"tenant", "create", "a1", "a2", "--param", "email=x"});
    project.seed("slow", "SELECT pg_sleep(30);");
    auto running = project.tool.start({"tenant", "seed", "--all", "--only-seed", "slow"});
    project.wait_for_sleep();
    running.kill(SIGTERM);
    const auto run = running.wait();
    CHECK(fault(run, 130, {"a2: not started: interrupted"}) == "");
    CHECK(project.shown("a1")["pending"] == json{"slow"});
  }

  TEST_CASE("the shared scope's seeds run here and in tenants' databases") {
    SeedProject project;
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (code text);", "DROP TABLE plans;");
    project.tool.folder().write("migrations/shared/seeds/plans.sql",
                                "INSERT INTO plans VALUES ('free');");
    project.must({"upgrade", "--scope", "shared"});
    CHECK(project.database.value("SELECT count(*) FROM shared.plans") == "0");
    project.must({"tenant", "create", "globex", "--isolation", "database", "--param", "email=g@x"});
    CHECK(project.inside("globex", "SELECT count(*) FROM shared.plans") == "1");
    const auto run = project.run({"tenant", "seed", "--shared"});
    CHECK(fault(run, 0, {"seeded shared: plans\nunchanged: 1 tenant\n"}) == "");
    CHECK(project.database.value("SELECT string_agg(code, ',') FROM shared.plans") == "free");
  }

  TEST_CASE("a runtime role has no rights on what is recorded") {
    SeedProject project;
    project.must(
        {"tenant", "create", "acme", "--runtime-role", "per-tenant", "--param", "email=x"});
    CHECK(project.database.value(
              "SELECT count(*) FROM pg_roles r, pg_class c WHERE c.oid = "
              "'acme.tenantctl_version_seed'::regclass AND r.rolname LIKE 'rt\\_%' AND "
              "has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')") == "0");
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
  }
}
