#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

// The grants of a schema as people write them, whatever their order.
std::string grants_of(Project& project, const std::string& schema) {
  return project.database.value(
      "SELECT coalesce(string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE "
      "pg_get_userbyid(a.grantee)::text END || ' ' || a.privilege_type || ' ' || "
      "a.is_grantable::text, ',' ORDER BY 1), '') FROM pg_namespace n, aclexplode(n.nspacl) a "
      "WHERE n.nspname = '" +
      schema + "' AND a.grantee <> n.nspowner");
}

std::string comment_of(Project& project, const std::string& schema) {
  return project.database.value("SELECT obj_description('\"" + schema + "\"'::regnamespace)");
}

}  // namespace

TEST_SUITE("cli/tenant rename") {
  TEST_CASE("schema, row and everything kept by oid follow; the mark stays") {
    Project project;
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE a (id serial PRIMARY KEY);"
                  "CREATE TABLE b (a int REFERENCES a);"
                  "CREATE VIEW v AS SELECT id FROM a;"
                  "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2';");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme"});
    CHECK(fault(project.run({"tenant", "rename", "acme", "acme_corp"}), 0,
                {"renamed acme to acme_corp\n"}) == "");
    CHECK_FALSE(project.has_schema("acme"));
    project.database.execute(
        "INSERT INTO acme_corp.a DEFAULT VALUES; INSERT INTO acme_corp.b "
        "VALUES (1)");
    CHECK(project.database.value("SELECT id FROM acme_corp.v") == "1");
    CHECK(project.database.value("SELECT slug || ' ' || name || ' ' || schema_name || ' ' || state "
                                 "FROM tenantctl.tenant") == "acme_corp acme_corp acme_corp ready");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "rename", "acme_corp", "acme", "--slug", "acme-1"}), 0) ==
          "");
    CHECK(fault(project.run({"tenant", "rename", "acme-1", "acme2"}), 0) == "");
    CHECK(project.database.value("SELECT slug || ' ' || schema_name FROM tenantctl.tenant") ==
          "acme-1 acme2");
  }

  TEST_CASE("texts that say the old name are named, and nothing is changed without --force") {
    Project project;
    const auto role = project.database.second_role();
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int, t text);");
    project.must({"tenant", "create", "acme", "acme2"});
    project.database.execute(
        "CREATE FUNCTION acme.body() RETURNS bigint LANGUAGE plpgsql AS "
        "$$BEGIN RETURN (SELECT count(*) FROM ACME.a); END$$;"
        "CREATE FUNCTION acme.path() RETURNS int LANGUAGE sql SET search_path = acme AS 'SELECT 1';"
        "CREATE FUNCTION public.other() RETURNS text LANGUAGE sql AS 'SELECT ''\"acme\".a''';"
        "CREATE FUNCTION public.innocent() RETURNS text LANGUAGE sql AS "
        "'SELECT ''acme2.a, pacme.b, acme_x''';"
        "CREATE FUNCTION acme.argument(t text DEFAULT 'acme.a') RETURNS text LANGUAGE sql AS "
        "'SELECT t';"
        "CREATE VIEW acme.v AS SELECT to_regclass('acme.a') AS c FROM acme.a;"
        "CREATE VIEW acme.fine AS SELECT id FROM acme.a;"
        "ALTER TABLE acme.a ALTER t SET DEFAULT 'acme.a', ADD CONSTRAINT k CHECK (t <> 'acme.b');"
        "CREATE POLICY p ON acme.a USING (t = 'acme');"
        "CREATE INDEX i ON acme.a (id) WHERE t = 'acme';"
        "ALTER ROLE " +
        role + " SET search_path = acme, public");
    const auto run = project.run({"tenant", "rename", "acme", "fresh", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "tenant-rename") == "");
    const auto document = json::parse(run.out);
    std::string found;
    for (const auto& text : document["texts"])
      found += text["kind"].get<std::string>() + " " + text["name"].get<std::string>() + "\n";
    CHECK(found ==
          "constraint fresh.a.k\ndefault fresh.a.t\nfunction fresh.argument(text)\n"
          "function fresh.body()\nfunction fresh.path()\nfunction public.other()\n"
          "index fresh.i\npolicy fresh.a.p\nrole " +
              role + "\nview fresh.v\n");
    CHECK(document["renamed"] == false);
    CHECK(project.has_schema("acme"));
    CHECK(fault(project.run({"tenant", "rename", "acme", "fresh"}), 1,
                {"10 stored texts say the name; nothing was changed", "  function public.other()",
                 "HINT:", "--force"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "acme", "fresh", "--force"}), 0,
                {"renamed acme to fresh\n", "10 stored texts say the name\n"}) == "");
    CHECK(project.has_table("fresh", "a"));
    project.database.execute("ALTER ROLE " + role + " RESET search_path");
  }

  TEST_CASE("names with capitals, quotation marks, and of 63 bytes") {
    Project project;
    project.write_abc();
    const std::string longest(63, 'x');
    const std::string odd = "Big \"One\".a'b\\";
    project.create_tenants(1);
    project.database.execute(
        "ALTER SCHEMA t001 RENAME TO \"Big \"\"One\"\".a'b\\\";"
        "CREATE FUNCTION public.odd() RETURNS int LANGUAGE sql AS "
        "$$SELECT 1 -- \"Big \"\"One\"\".a'b\\\".a $$;"
        "CREATE FUNCTION public.even() RETURNS int LANGUAGE sql AS $$SELECT 1 -- big one $$");
    CHECK(fault(project.run({"tenant", "rename", odd, longest}), 1, {"function public.odd()"}) ==
          "");
    CHECK(fault(project.run({"tenant", "rename", odd, longest, "--force"}), 0) == "");
    CHECK(project.revision_of(longest) == "0003_c");
    CHECK(fault(project.run({"tenant", "rename", longest, longest + "y"}), 2, {"64 bytes"}) == "");
    CHECK(fault(project.run({"tenant", "rename", longest, "Upper"}), 2, {"not a plain name"}) ==
          "");
    CHECK(fault(project.run({"tenant", "rename", longest, "tenantctl_dropped_1"}), 2,
                {"is reserved"}) == "");
  }

  TEST_CASE("what is taken, foreign, unfinished or migrating is refused") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.database.execute(
        "CREATE SCHEMA old; CREATE SCHEMA foreign_one; CREATE TABLE foreign_one.tenantctl_version "
        "(LIKE t001.tenantctl_version); ALTER TABLE foreign_one.tenantctl_version ENABLE ROW LEVEL "
        "SECURITY");
    const auto rename = [&](const std::string& from, const std::string& to) {
      return project.run({"tenant", "rename", from, to});
    };
    CHECK(fault(rename("t001", "t002"), 2, {"there already: t002"}) == "");
    CHECK(fault(rename("t001", "old"), 2, {"there already: old"}) == "");
    CHECK(fault(rename("t001", "t001"), 2, {"called so already"}) == "");
    CHECK(fault(rename("old", "new"), 2, {"no version table of ours"}) == "");
    CHECK(fault(rename("foreign_one", "new"), 2, {"no version table of ours"}) == "");
    CHECK(fault(rename("nope", "new"), 2, {"no such schema"}) == "");
    CHECK(fault(rename("shared", "new"), 2, {"shared scope"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "t001", "new", "--slug", "x"}), 2,
                {"there is no registry"}) == "");
    project.must({"registry", "init", "--adopt"});
    project.database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, database_name, schema_name, state) "
        "VALUES ('far', 'Far', 'database', 'db_far', 't', 'ready'), "
        "('new', 'New', 'schema', NULL, 'elsewhere', 'ready')");
    CHECK(fault(rename("far", "near"), 2, {"there is no database db_far"}) == "");
    CHECK(fault(rename("t001", "new"), 2, {"registered already"}) == "");
    CHECK(project.has_schema("t001"));
    project.database.execute(
        "BEGIN; SELECT pg_advisory_xact_lock(1952670769, "
        "'t001'::regnamespace::oid::int)");
    CHECK(fault(rename("t001", "other"), 3, {"another session is migrating"}) == "");
    project.database.execute("ROLLBACK");
    CHECK(fault(rename("t001", "other"), 0) == "");
  }
}

namespace {

/// Somebody who is in the way of whatever changes the registry, as long as it lives.
class RegistryLock {
 public:
  explicit RegistryLock(TestDatabase& database) : database_(database) {
    database_.execute("BEGIN; LOCK TABLE tenantctl.tenant IN SHARE MODE");
  }
  ~RegistryLock() { release(); }
  RegistryLock(const RegistryLock&) = delete;
  RegistryLock& operator=(const RegistryLock&) = delete;

  void wait_for_one() {
    const std::string waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
        "'tenantctl.tenant'::regclass";
    for (int i = 0; i < 100 && database_.value(waiting) == "0"; ++i)
      database_.value("SELECT pg_sleep(0.1)");
    CHECK(database_.value(waiting) == "1");
  }
  // As a machine that is lost: its session does not go on when the way is free.
  void end_who_waits() {
    database_.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted AND relation = "
        "'tenantctl.tenant'::regclass");
    database_.value("SELECT pg_sleep(0.2)");
  }
  void release() {
    if (!std::exchange(released_, true))
      database_.execute("ROLLBACK");
  }

 private:
  TestDatabase& database_;
  bool released_ = false;
};

std::string places_of(Project& project) {
  return project.database.value(
      "SELECT COALESCE(string_agg(slug || ' ' || state || ' ' || (to_regnamespace(quote_ident("
      "schema_name)) IS NOT NULL)::text, ',' ORDER BY slug), '') FROM tenantctl.tenant");
}

}  // namespace

TEST_SUITE("cli/life of the killed") {
  TEST_CASE("a rename that is killed has changed nothing, one whose session is ended ends well") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one"});
    {
      RegistryLock lock(project.database);
      auto process = project.tool.start({"tenant", "rename", "one", "two"});
      lock.wait_for_one();
      process.kill(SIGKILL);
      process.wait();
      lock.end_who_waits();
    }
    CHECK(project.has_schema("one"));
    CHECK_FALSE(project.has_schema("two"));
    {
      RegistryLock lock(project.database);
      auto process = project.tool.start({"tenant", "rename", "one", "two"});
      lock.wait_for_one();
      lock.end_who_waits();
      lock.release();
      CHECK(fault(process.wait(), 0, {"renamed one to two"}) == "");
    }
    CHECK(places_of(project) == "two ready true");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("drop, undrop and purge: killed, or their session ended, and given again") {
    const std::vector<std::vector<std::string>> commands{
        {"tenant", "drop", "one", "--yes"},
        {"tenant", "undrop", "one"},
        {"tenant", "drop", "one", "--yes"},
        {"tenant", "purge", "one", "--all", "--yes"}};
    const std::vector<std::string> behind{"one deleting true", "one ready true",
                                          "one deleting true", ""};
    for (const bool kills : {true, false}) {
      CAPTURE(kills);
      Project project;
      project.write_abc();
      project.must({"registry", "init"});
      project.must({"tenant", "create", "one"});
      for (std::size_t i = 0; i < commands.size(); ++i) {
        CAPTURE(i);
        const std::string before = places_of(project);
        {
          RegistryLock lock(project.database);
          auto process = project.tool.start(commands[i]);
          lock.wait_for_one();
          if (kills) {
            process.kill(SIGKILL);
            process.wait();
            lock.end_who_waits();
          } else {
            lock.end_who_waits();
            lock.release();
            CHECK(fault(process.wait(), 0) == "");
          }
        }
        if (kills) {
          CHECK(places_of(project) == before);
          CHECK(fault(project.run(commands[i]), 0) == "");
        }
        CHECK(places_of(project) == behind[i]);
        CHECK(fault(project.run({"registry", "check"}), 0) == "");
      }
      CHECK(project.database.value("SELECT count(*) FROM pg_namespace WHERE nspname ~ "
                                   "'^(tenantctl_dropped_|one)'") == "0");
    }
  }

  TEST_CASE("a session that outlives the killed program ends what it was sent, whole") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one"});
    const auto orphan = [&project](const std::vector<std::string>& command) {
      RegistryLock lock(project.database);
      auto process = project.tool.start(command);
      lock.wait_for_one();
      process.kill(SIGKILL);
      process.wait();
      lock.release();
      const std::string others =
          "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tenantctl/%' AND "
          "datname = current_database()";
      for (int i = 0; i < 100 && project.database.value(others) != "0"; ++i)
        project.database.value("SELECT pg_sleep(0.1)");
    };
    orphan({"tenant", "rename", "one", "two"});
    CHECK(places_of(project) == "two ready true");
    CHECK(fault(project.run({"tenant", "rename", "one", "two"}), 2,
                {"\"one\" is no tenant", "HINT: two is one: perhaps it was renamed already"}) ==
          "");
    orphan({"tenant", "drop", "two", "--yes"});
    CHECK(places_of(project) == "two deleting true");
    CHECK(fault(project.run({"tenant", "drop", "two", "--yes"}), 0, {"unchanged two"}) == "");
    orphan({"tenant", "undrop", "two"});
    CHECK(places_of(project) == "two ready true");
    CHECK(fault(project.run({"tenant", "undrop", "two"}), 2,
                {"no tenant \"two\" was dropped", "HINT: two is there"}) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a purge in pieces that is killed cannot be undone, and goes on") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "big"});
    const auto room = std::stoi(
        project.database.value("SELECT current_setting('max_locks_per_transaction')::int * "
                               "(current_setting('max_connections')::int + "
                               "current_setting('max_prepared_transactions')::int) / 4"));
    REQUIRE(room < 5000);
    // More than the lock table has room for, made in a transaction each.
    for (int first = 0; first < room + 100; first += 500)
      project.database.execute("DO $$BEGIN FOR i IN " + std::to_string(first) + ".." +
                               std::to_string(first + 499) +
                               " LOOP EXECUTE 'CREATE TABLE big.x' || i || ' ()'; END LOOP; END$$");
    project.must({"tenant", "drop", "big", "--yes"});
    const auto schema = project.database.value("SELECT schema_name FROM tenantctl.tenant");
    const std::string count = "SELECT count(*) FROM pg_class WHERE relnamespace = '" + schema +
                              "'::regnamespace AND relkind = 'r'";
    const int before = std::stoi(project.database.value(count));
    project.database.execute("BEGIN; LOCK TABLE " + schema + ".x50");
    auto process = project.tool.start({"tenant", "purge", "big", "--all", "--yes"});
    const std::string waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '" +
                                schema + ".x50'::regclass";
    for (int i = 0; i < 100 && project.database.value(waiting) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    process.kill(SIGKILL);
    process.wait();
    project.database.execute("ROLLBACK");
    CHECK(std::stoi(project.database.value(count)) < before);
    CHECK(fault(project.run({"tenant", "undrop", "big"}), 1, {"its purge has begun"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "big", "--yes"}), 1, {"its purge has begun"}) == "");
    // Begun is begun: no grace keeps what is left.
    CHECK(fault(project.run({"tenant", "purge", "--yes"}), 0, {"purged big"}) == "");
    CHECK(places_of(project) == "");
  }
}

TEST_SUITE("cli/life of strangers' objects") {
  TEST_CASE("what others own in a tenant's schema goes along, and away") {
    Project project;
    project.write_abc();
    const auto role = project.database.second_role();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one"});
    project.database.execute("GRANT CREATE, USAGE ON SCHEMA one TO " + role + "; SET ROLE " + role +
                             "; CREATE TABLE one.theirs (id serial PRIMARY KEY); "
                             "CREATE VIEW one.v AS SELECT id FROM one.theirs; "
                             "CREATE FUNCTION one.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
                             "CREATE TYPE one.mood AS ENUM ('fine'); RESET ROLE");
    project.must({"tenant", "rename", "one", "two"});
    CHECK(project.has_table("two", "theirs"));
    project.must({"tenant", "drop", "two", "--yes"});
    project.must({"tenant", "undrop", "two"});
    CHECK(project.database.value("SELECT has_schema_privilege('" + role + "', 'two', 'CREATE')") ==
          "t");
    project.database.execute("SET ROLE " + role +
                             "; INSERT INTO two.theirs DEFAULT VALUES; "
                             "RESET ROLE");
    project.must({"tenant", "drop", "two", "--yes"});
    CHECK(fault(project.run({"tenant", "purge", "--all", "--yes"}), 0, {"purged two"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_class WHERE relname = 'theirs'") == "0");
  }

  TEST_CASE("a schema that somebody else owns is refused before anything happens") {
    Project project;
    project.write_abc();
    const auto role = project.database.second_role();
    project.create_tenants(2);
    project.database.execute("ALTER SCHEMA t001 OWNER TO " + role);
    for (const auto& args : {std::vector<std::string>{"tenant", "drop", "t002", "t001", "--yes"},
                             {"tenant", "drop", "t002", "t001", "--yes", "--purge"},
                             {"tenant", "rename", "t001", "new"}})
      CHECK(fault(project.run(args), 2,
                  {"\"t001\" is no tenant: it has no version table of ours"}) == "");
    CHECK(project.has_schema("t002"));
  }

  TEST_CASE("a comment that only looks like ours, and a schema of that name, are nobody's") {
    Project project;
    project.write_abc();
    const auto role = project.database.second_role();
    project.create_tenants(1);
    project.database.execute(
        "CREATE SCHEMA tenantctl_dropped_1; CREATE SCHEMA tenantctl_dropped_2; COMMENT ON SCHEMA "
        "tenantctl_dropped_2 IS 'tenantctl dropped 1 {\"name\": \"t009\", \"at\": "
        "\"2026-01-01T00:00:00Z\", \"by\": \"x\"}'; ALTER SCHEMA tenantctl_dropped_2 OWNER TO " +
        role);
    CHECK(fault(project.run({"tenant", "purge", "--all", "--yes"}), 0) == "");
    CHECK(fault(project.run({"tenant", "undrop", "t009"}), 2, {"no tenant \"t009\" was dropped"}) ==
          "");
    CHECK(project.has_schema("tenantctl_dropped_1"));
    CHECK(project.has_schema("tenantctl_dropped_2"));
  }
}

TEST_SUITE("cli/tenant undrop") {
  TEST_CASE("rights, comment and everything inside come back") {
    Project project;
    project.write_abc();
    const auto role = project.database.second_role();
    project.create_tenants(2);
    project.database.execute(
        "GRANT USAGE ON SCHEMA t001 TO PUBLIC; GRANT CREATE ON SCHEMA t001 TO " + role +
        " WITH GRANT OPTION; COMMENT ON SCHEMA t001 IS 'it''s \"ours\"'; INSERT INTO t001.a "
        "DEFAULT VALUES");
    const auto before = grants_of(project, "t001");
    CHECK(fault(project.run({"tenant", "drop", "t001", "--yes"}), 0, {"dropped t001\n"}) == "");
    CHECK_FALSE(project.has_schema("t001"));
    const auto dropped = project.database.value(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantctl_dropped_%'");
    CHECK(grants_of(project, dropped) == "");
    CHECK(fault(project.run({"tenant", "list"}), 0, {"t002"}) == "");
    CHECK_FALSE(contains(project.run({"tenant", "list"}).out, "dropped"));
    CHECK(fault(project.run({"status"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"t002: unchanged"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", dropped}), 2, {"is reserved"}) == "");
    CHECK(fault(project.run({"tenant", "list", "--state", "deleting"}), 0,
                {dropped, "was t001 until "}) == "");
    CHECK(fault(project.run({"tenant", "drop", "t001", "--yes"}), 0,
                {"unchanged t001: dropped already\n"}) == "");
    CHECK(fault(project.run({"tenant", "undrop", "t001"}), 0, {"restored t001\n"}) == "");
    CHECK(grants_of(project, "t001") == before);
    CHECK(comment_of(project, "t001") == "it's \"ours\"");
    CHECK(project.database.value("SELECT count(*) FROM t001.a") == "1");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"tenant", "undrop", "t001"}), 2, {"no tenant \"t001\" was dropped"}) ==
          "");
  }

  TEST_CASE("with a registry the tenant is deleting, and its state comes back") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one", "--slug", "acme-1"});
    project.must({"tenant", "suspend", "acme-1", "--reason", "unpaid"});
    project.must({"tenant", "drop", "acme-1", "--yes"});
    CHECK(project.database.value("SELECT state FROM tenantctl.tenant") == "deleting");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "create", "two", "--slug", "acme-1"}), 2,
                {"registered already: deleting"}) == "");
    CHECK(fault(project.run({"tenant", "show", "acme-1"}), 0, {"dropped", "deleting since"}) == "");
    const auto run = project.run({"tenant", "list", "--state", "deleting", "-o", "json"});
    CHECK(judged(run, "tenant-list") == "");
    CHECK(json::parse(run.out)["tenants"][0]["name"] == "one");
    CHECK(fault(project.run({"tenant", "undrop", "acme-1"}), 0) == "");
    CHECK(project.database.value("SELECT state || ' ' || schema_name || ' ' || metadata::text FROM "
                                 "tenantctl.tenant") ==
          "suspended one {\"tenantctl\": {\"reason\": \"unpaid\"}}");
    project.must({"tenant", "resume", "acme-1"});
    CHECK(project.database.value("SELECT metadata::text FROM tenantctl.tenant") == "{}");
  }

  TEST_CASE("the gate lets nobody into a dropped tenant, and again when it is back") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"gate", "install"});
    project.must({"tenant", "create", "one"});
    const auto enter = [&]() -> std::string {
      std::string answer;
      try {
        project.database.execute("BEGIN; SELECT tenantctl.enter('one')");
        answer = project.database.value("SELECT current_schema()");
      } catch (const std::runtime_error& error) {
        answer = error.what();
      }
      project.database.execute("ROLLBACK");
      return answer;
    };
    CHECK(enter() == "one");
    project.must({"tenant", "drop", "one", "--yes"});
    CHECK(contains(enter(), "tenant one is not ready, but deleting"));
    project.must({"tenant", "undrop", "one"});
    CHECK(enter() == "one");
    project.must({"tenant", "rename", "one", "two"});
    CHECK_FALSE(enter() == "one");
  }

  TEST_CASE("a dropped tenant is shown where it stood") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one"});
    project.must({"tenant", "drop", "one", "--yes"});
    const auto run = project.run({"tenant", "show", "one", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-show") == "");
    const auto document = json::parse(run.out);
    CHECK(document["state"] == "dropped");
    CHECK(document["revision"] == "0003_c");
    CHECK(document["applied"] == 3);
    CHECK(document["pending"].is_null());
    CHECK(document["tables"] == 4);
    CHECK(document["disagreements"] == json::array());
  }

  TEST_CASE("a name that was taken meanwhile, two of one name, and lost roles") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.database.execute("CREATE ROLE life_gone_" + project.database.name() +
                             "; GRANT USAGE ON SCHEMA t001 TO life_gone_" +
                             project.database.name());
    project.must({"tenant", "drop", "t001", "--yes"});
    project.database.execute("DROP ROLE life_gone_" + project.database.name());
    project.must({"tenant", "create", "t001"});
    CHECK(fault(project.run({"tenant", "undrop", "t001"}), 1,
                {"t001: failed: another schema has that name now. tenantctl tenant rename"}) == "");
    project.must({"tenant", "drop", "t001", "--yes"});
    CHECK(fault(project.run({"tenant", "undrop", "t001"}), 2,
                {"2 tenants \"t001\" were dropped", "HINT: Name one of them by its schema"}) == "");
    const auto first = project.database.value(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantctl_dropped_%' ORDER BY oid");
    CHECK(fault(project.run({"tenant", "undrop", first}), 0,
                {"restored t001: roles that had rights to it are gone: life_gone_"}) == "");
    CHECK(project.has_table("t001", "c"));
  }
}

TEST_SUITE("cli/tenant purge") {
  TEST_CASE("those over their grace go, the others stay") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one", "two", "three"});
    project.must({"tenant", "drop", "one", "two", "--yes"});
    CHECK(fault(project.run({"tenant", "purge", "--yes"}), 0) == "");
    CHECK(fault(project.run({"tenant", "purge", "one", "--yes"}), 2,
                {"one was dropped 0 hours ago, and has a grace of 7 days", "HINT: --all"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "--grace", "0s"}), 2, {"--yes"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "one", "--all", "--yes"}), 0, {"purged one\n"}) ==
          "");
    const auto run = project.run({"tenant", "purge", "--grace", "0s", "--yes", "-o", "json"});
    CHECK(judged(run, "tenant-purge") == "");
    CHECK(json::parse(run.out)["tenants"][0]["result"] == "purged");
    CHECK(project.database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE "
                                 "'tenantctl_dropped_%'") == "0");
    CHECK(project.database.value("SELECT string_agg(slug, ',') FROM tenantctl.tenant") == "three");
    CHECK(fault(project.run({"tenant", "drop", "three", "--purge", "--yes"}), 0,
                {"purged three\n"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "0");
  }

  TEST_CASE("a row whose schema somebody dropped goes too") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "one"});
    project.must({"tenant", "drop", "one", "--yes"});
    const auto dropped = project.database.value("SELECT schema_name FROM tenantctl.tenant");
    project.database.execute("DROP SCHEMA " + dropped + " CASCADE");
    CHECK(fault(project.run({"registry", "check"}), 4, {"one: registered, but there is no"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "--yes"}), 0, {"purged one"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "0");
  }
}

TEST_SUITE("cli/tenant drop of many") {
  TEST_CASE("a failure is named and the others go on; the same command finishes") {
    Project project;
    project.write_abc();
    project.create_tenants(5);
    project.database.execute(
        "BEGIN; SELECT pg_advisory_xact_lock(1952670769, "
        "'t003'::regnamespace::oid::int)");
    const auto run = project.run({"tenant", "drop", "--tenants", "t*", "--yes", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "tenant-drop") == "");
    CHECK(json::parse(run.out)["tenants"][2] ==
          json{{"tenant", "t003"},
               {"result", "failed"},
               {"message", "another session is migrating the schema"}});
    project.database.execute("ROLLBACK");
    CHECK(fault(project.run({"tenant", "drop", "--tenants", "t*", "--yes"}), 0,
                {"unchanged t001", "dropped t003"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "--tenants", "t*", "--yes", "--purge"}), 0,
                {"purged t001", "purged t005"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't%0%'") ==
          "0");
  }

  TEST_CASE("names and patterns together, or neither, are refused") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"tenant", "drop", "--yes"}), 2, {"needs a name"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "t001", "--tenants", "*", "--yes"}), 2,
                {"named twice"}) == "");
    CHECK(project.has_schema("t001"));
  }

  TEST_CASE("killed in the middle, the same command finishes it") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.create_tenants(3);
    // Its transaction stops at the registry's row.
    project.database.execute("BEGIN; LOCK TABLE tenantctl.tenant IN SHARE MODE");
    auto process = project.tool.start({"tenant", "drop", "--tenants", "t*", "--yes"});
    TestDatabase& database = project.database;
    const std::string waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
        "'tenantctl.tenant'::regclass";
    for (int i = 0; i < 100 && database.value(waiting) == "0"; ++i)
      database.value("SELECT pg_sleep(0.1)");
    CHECK(database.value(waiting) == "1");
    process.kill(SIGKILL);
    process.wait();
    project.database.execute("ROLLBACK");
    CHECK(fault(project.run({"tenant", "drop", "--tenants", "t*", "--yes"}), 0, {"t003"}) == "");
    CHECK(project.database.value("SELECT string_agg(DISTINCT state, ',') FROM tenantctl.tenant") ==
          "deleting");
    CHECK(project.database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE "
                                 "'tenantctl_dropped_%'") == "3");
  }

  TEST_CASE("an interrupt leaves the rest alone and says so") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    project.create_tenants(3);
    project.database.execute("BEGIN; LOCK TABLE tenantctl.tenant IN SHARE MODE");
    auto process = project.tool.start({"tenant", "drop", "--tenants", "t*", "--yes", "-o", "json"});
    const std::string waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
        "'tenantctl.tenant'::regclass";
    for (int i = 0; i < 100 && project.database.value(waiting) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    process.kill(SIGINT);
    project.database.execute("SELECT pg_sleep(0.5); ROLLBACK");
    const auto run = process.wait();
    CHECK(run.exit_code == 130);
    const auto document = json::parse(run.out);
    CHECK(document["tenants"][0]["result"] == "dropped");
    CHECK(document["tenants"][1]["result"] == "not started");
    CHECK(document["tenants"][2]["message"] == "interrupted");
  }
}
