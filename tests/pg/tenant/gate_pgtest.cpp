#include "tenant/gate.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "pq/server_error.h"
#include "support/session.h"
#include "tenant/gate_component.h"
#include "tenant/tenant_registry.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// A database with a gate, tenants of every kind, and a role that owns nothing and may enter.
struct Bench {
  TestDatabase database;
  Session session{database};
  Gate gate{session.pipeline(), {}, 30s};
  std::string app = database.second_role();
  Session application{database, app};

  Bench() {
    TenantRegistry(session.pipeline(), {}).install();
    gate.install({.runtime_roles = {app}});
    for (const std::string schema : {"acme", "globex", "Odd \"one\", x"}) {
      const std::string quoted = database.value("SELECT quote_ident($$" + schema + "$$)");
      database.execute("CREATE SCHEMA " + quoted + "; CREATE TABLE " + quoted +
                       ".notes (owner text); INSERT INTO " + quoted +
                       ".notes VALUES (current_schema()); GRANT USAGE ON SCHEMA " + quoted +
                       " TO " + app + "; GRANT SELECT ON " + quoted + ".notes TO " + app);
    }
    database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) VALUES "
        "('acme', 'A', 'schema', 'acme', 'ready'), ('globex', 'G', 'schema', 'globex', 'ready'), "
        "('odd', 'O', 'schema', 'Odd \"one\", x', 'ready'), "
        "('pooled', 'P', 'rows', 'acme', 'ready'), "
        "('asleep', 'S', 'schema', 's', 'suspended'), "
        "('young', 'Y', 'schema', 'y', 'provisioning'), "
        "('old', 'O', 'schema', 'o', 'archived'), ('dying', 'D', 'schema', 'd', 'deleting'), "
        "('lost', 'L', 'schema', 'nowhere', 'ready'); "
        "INSERT INTO tenantctl.tenant (slug, name, isolation, database_name, state) VALUES "
        "('away', 'W', 'database', 'elsewhere', 'ready')");
  }

  // SQLSTATE of the first of a transaction's statements that fails; "" for none.
  std::string sqlstate(std::vector<std::string> statements) {
    statements.insert(statements.begin(), "BEGIN");
    statements.emplace_back("ROLLBACK");
    const pq::FlightAnswer answer = application.send_sql(statements);
    if (const pq::Answer* failure = answer.failure()) {
      const std::string sqlstate = failure->error->sqlstate;
      application.send_sql({"ROLLBACK"});
      return sqlstate;
    }
    return "";
  }

  std::string entering(const std::string& arguments) {
    return sqlstate({"SELECT tenantctl.enter(" + arguments + ")"});
  }

  // The last value of a transaction as the application.
  std::string seen(const std::vector<std::string>& statements) {
    std::string value;
    std::vector<pq::Message> flight = messages(statements);
    flight.insert(flight.begin(), {.sql = "BEGIN"});
    flight.back().on_row = [&value](const pq::Row& row) { value = row.text(0); };
    flight.push_back({.sql = "COMMIT"});
    const pq::FlightAnswer answer = application.send(std::move(flight));
    if (const pq::Answer* failure = answer.failure()) {
      const std::string told = failure->error->sqlstate + " " + failure->error->message;
      application.send_sql({"ROLLBACK"});
      return told;
    }
    return value;
  }

  void mark(const std::string& schema, const std::string& comment,
            const std::string& table = "tenantctl_version") {
    database.execute("CREATE TABLE IF NOT EXISTS " + schema + "." + table +
                     " (); COMMENT ON TABLE " + schema + "." + table + " IS '" + comment + "'");
  }
};

const std::string at_12 = "tenantctl 1 scope=tenant head=12 count=3 digest=" + std::string(64, 'a');

}  // namespace

TEST_SUITE("pg/tenant/gate") {
  TEST_CASE("an entered tenant is seen until the end of the transaction, and no longer") {
    Bench bench;
    CHECK(bench.seen({"SELECT tenantctl.enter('acme')", "SELECT count(*) FROM notes"}) == "1");
    CHECK(bench.seen({"SELECT tenantctl.enter('globex')",
                      "SELECT current_setting('search_path')"}) == "globex, pg_temp");
    CHECK(bench.seen({"SELECT tenantctl.enter('odd')", "SELECT count(*) FROM notes"}) == "1");
    CHECK(bench.seen({"SELECT tenantctl.enter('pooled')", "SELECT current_schema()"}) == "acme");
    CHECK(bench.seen({"SELECT tenantctl.enter('acme')",
                      "SELECT tenantctl.current_tenant() = tenantctl.require_tenant()"}) == "t");
    CHECK(bench.seen({"SELECT tenantctl.current_tenant() IS NULL"}) == "t");
    CHECK(bench.sqlstate({"SELECT count(*) FROM notes"}) == "42P01");
    CHECK(bench.sqlstate({"SELECT tenantctl.require_tenant()"}) == "TG005");
  }

  TEST_CASE("leaving and going back to a savepoint end an entry, and public is never next") {
    Bench bench;
    bench.database.execute("CREATE TABLE public.notes (); GRANT SELECT ON public.notes TO PUBLIC");
    const std::string enter = "SELECT tenantctl.enter('acme')";
    CHECK(bench.sqlstate({enter, "SELECT tenantctl.leave()", "SELECT * FROM notes"}) == "42P01");
    CHECK(bench.sqlstate(
              {enter, "SELECT tenantctl.leave()", "SELECT tenantctl.require_tenant()"}) == "TG005");
    CHECK(bench.sqlstate({"SAVEPOINT s", enter, "ROLLBACK TO s",
                          "SELECT tenantctl.require_tenant()"}) == "TG005");
    CHECK(bench.seen({enter, "SAVEPOINT s", "SELECT tenantctl.enter('globex')", "ROLLBACK TO s",
                      "SELECT current_schema()"}) == "acme");
  }

  TEST_CASE("each reason to refuse has a SQLSTATE of its own") {
    Bench bench;
    CHECK(bench.entering("'acme'") == "");
    CHECK(bench.entering("'nobody'") == "TG001");
    CHECK(bench.entering("NULL") == "TG001");
    CHECK(bench.entering("''") == "TG001");
    CHECK(bench.entering("'ACME'") == "TG001");
    CHECK(bench.entering("'asleep'") == "TG002");
    for (const auto* const slug : {"'young'", "'old'", "'dying'", "'lost'"}) {
      CAPTURE(slug);
      CHECK(bench.entering(slug) == "TG003");
    }
    CHECK(bench.entering("'away'") == "TG006");
  }

  TEST_CASE("a schema older than asked for is refused, by its mark") {
    Bench bench;
    CHECK(bench.entering("'acme', '1'") == "TG004");
    bench.mark("acme", at_12);
    for (const auto* const enough : {"12", "0012", "0012_slug", "11", "0"}) {
      CAPTURE(enough);
      CHECK(bench.entering("'acme', '" + std::string(enough) + "'") == "");
    }
    CHECK(bench.entering("'acme', '13'") == "TG004");
    CHECK(bench.entering("'acme', '20261102090000'") == "TG004");
    for (const auto* const nonsense : {"", "head", "12; DROP", "-1", "12 ", "0012-x"}) {
      CAPTURE(nonsense);
      CHECK(bench.entering("'acme', '" + std::string(nonsense) + "'") == "22023");
    }
    bench.mark("acme", "no mark at all");
    CHECK(bench.entering("'acme', '12'") == "TG004");
    CHECK(bench.entering("'acme'") == "");
    bench.mark("acme", at_12 + " dropping");
    CHECK(bench.entering("'acme'") == "TG003");
    bench.mark("acme", at_12);
    bench.database.execute("ALTER TABLE acme.tenantctl_version OWNER TO " + bench.app);
    CHECK(bench.entering("'acme', '12'") == "TG004");
  }

  TEST_CASE("the head is looked for in the table that the fleet uses") {
    Bench bench;
    bench.mark("acme", at_12, "versions");
    CHECK(bench.entering("'acme', '12'") == "TG004");
    bench.gate.install({.version_table = "versions", .path_behind = {"pg_catalog", "sh \"x"}});
    CHECK(bench.entering("'acme', '12'") == "");
    CHECK(bench.seen({"SELECT tenantctl.enter('acme')", "SELECT current_setting('search_path')"}) ==
          "acme, \"pg_catalog\", \"sh \"\"x\", pg_temp");
  }

  TEST_CASE("outside a transaction block a plain call is refused") {
    Bench bench;
    const auto plain = [&](const std::string& sql) {
      try {
        bench.database.execute(sql);
        return std::string();
      } catch (const std::runtime_error& error) {
        return std::string(error.what());
      }
    };
    for (const std::string sql : {"SELECT tenantctl.enter('acme')",
                                  "select * from \"tenantctl\" . \"enter\" ('acme', NULL);\n"})
      CHECK(plain(sql).find("needs a transaction block") != std::string::npos);
    CHECK(plain("BEGIN; SELECT tenantctl.enter('acme'); SELECT * FROM notes; COMMIT") == "");
    CHECK(plain("DO $$BEGIN PERFORM tenantctl.enter('acme'); PERFORM * FROM notes; END$$") == "");
  }

  TEST_CASE("names of the caller's own lead none of the functions astray") {
    Bench bench;
    bench.database.execute(
        "CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO " + bench.app +
        "; CREATE FUNCTION evil.lie(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        "CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.lie);"
        "CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS "
        "'SELECT NULL::text'; CREATE TABLE evil.tenant (); CREATE DOMAIN evil.uuid AS text;"
        "CREATE FUNCTION evil.length(text) RETURNS int LANGUAGE sql AS 'SELECT 0'");
    const std::string path = "SET LOCAL search_path = evil, pg_catalog";
    CHECK(bench.seen({path, "SELECT tenantctl.enter('acme')", "SELECT current_schema()"}) ==
          "acme");
    CHECK(bench.seen({"SELECT tenantctl.enter('acme')", path,
                      "SELECT tenantctl.current_tenant() IS NOT NULL"}) == "t");
    CHECK(bench.sqlstate({path, "SELECT tenantctl.enter('nobody')"}) == "TG001");
  }

  TEST_CASE("only roles that were named may enter, and nobody reads the registry") {
    Bench bench;
    CHECK(bench.sqlstate({"SELECT * FROM tenantctl.tenant"}) == "42501");
    CHECK(bench.sqlstate({"SELECT * FROM tenantctl.gate"}) == "42501");
    CHECK(bench.sqlstate({"SELECT * FROM tenantctl.component"}) == "42501");
    CHECK(bench.sqlstate({"CREATE TABLE tenantctl.x ()"}) == "42501");
    bench.database.execute("REVOKE USAGE ON SCHEMA tenantctl FROM " + bench.app);
    CHECK(bench.entering("'acme'") == "42501");
    bench.database.execute("GRANT USAGE ON SCHEMA tenantctl TO " + bench.app +
                           "; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tenantctl FROM " +
                           bench.app);
    CHECK(bench.entering("'acme'") == "42501");
    CHECK(bench.sqlstate({"SELECT tenantctl.admission('acme', NULL)"}) == "42501");
  }

  TEST_CASE("a tenant with a runtime role lets in only that role") {
    Bench bench;
    bench.database.execute(
        "UPDATE tenantctl.tenant SET runtime_role = 'postgres' "
        "WHERE slug = 'globex'; UPDATE tenantctl.tenant SET runtime_role = '" +
        bench.app + "' WHERE slug = 'acme'");
    CHECK(bench.entering("'globex'") == "42501");
    CHECK(bench.entering("'acme'") == "");
    bench.database.execute("UPDATE tenantctl.tenant SET runtime_role = 'no such role'");
    CHECK(bench.entering("'acme'") == "42501");
  }

  TEST_CASE("it needs the registry, and installs once") {
    TestDatabase database;
    Session session(database);
    Gate gate(session.pipeline(), {}, 30s);
    CHECK_FALSE(gate.show());
    CHECK_THROWS_WITH_AS(gate.install({}), "the gate needs the registry of tenants", UsageError);
    TenantRegistry(session.pipeline(), {}).install();
    CHECK(gate.install({}).before == 0);
    CHECK(gate.install({}).before == gate_component().version());
    CHECK_THROWS_AS(gate.install({.runtime_roles = {"no such role"}}), UsageError);
    database.execute("UPDATE tenantctl.component SET version = 99 WHERE name = 'gate'");
    CHECK_THROWS_WITH_AS(gate.install({}),
                         "the gate cannot be used: a newer tenantctl installed it", UsageError);
  }

  TEST_CASE("a function that somebody has planted is not made the gate's") {
    TestDatabase database;
    Session session(database);
    TenantRegistry(session.pipeline(), {}).install();
    const std::string stranger = database.second_role();
    const std::string plant =
        "GRANT CREATE, USAGE ON SCHEMA tenantctl TO " + stranger + "; SET ROLE " + stranger +
        "; CREATE OR REPLACE FUNCTION tenantctl.admission(slug text, minimum_revision text, OUT "
        "tenant_id uuid, OUT path text, OUT runtime_role text) LANGUAGE sql AS $$ SELECT "
        "NULL::uuid, 'other', NULL::text $$; RESET ROLE";
    Gate gate(session.pipeline(), {}, 30s);
    SUBCASE("before there was one") {
      database.execute(plant);
      CHECK_THROWS(gate.install({}));
    }
    SUBCASE("in place of an older one's") {
      Component second = gate_component();
      second.versions.resize(2);
      second.tables = {"tenant", "gate", "place"};
      Components(session.pipeline(), {}, 30s).install(second);
      database.execute("DROP FUNCTION tenantctl.admission(text, text);" + plant);
      CHECK_THROWS_AS(gate.install({}), UsageError);
    }
    CHECK(database.value("SELECT count(*) FROM tenantctl.component WHERE name = 'gate' AND version "
                         "> 2") == "0");
  }

  TEST_CASE("version 1 is taken to this version, and is as it was set") {
    TestDatabase database;
    Session session(database);
    TenantRegistry(session.pipeline(), {}).install();
    Component first = gate_component();
    first.versions.resize(1);
    first.tables = {"tenant", "gate"};
    Components(session.pipeline(), {}, 30s).install(first);
    database.execute(
        "UPDATE tenantctl.gate SET admin_role = 'support'; CREATE SCHEMA acme; "
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
        "VALUES ('acme', 'A', 'schema', 'acme', 'ready')");
    Gate gate(session.pipeline(), {}, 30s);
    CHECK_THROWS_AS(gate.show(), UsageError);
    const Installed installed = gate.install({});
    CHECK(installed.before == 1);
    CHECK(installed.after == gate_component().version());
    CHECK(gate.show()->admin_role == "support");
    CHECK(database.value("BEGIN; SELECT tenantctl.enter('acme') IS NOT NULL") == "t");
    database.execute("ROLLBACK");
    CHECK_FALSE(gate.claim({.slug = "b", .name = "B", .schema = "b"}, {}, "", {""}));
  }

  TEST_CASE("a planted table in place of ours is refused") {
    Bench bench;
    bench.database.execute("ALTER TABLE tenantctl.gate OWNER TO " + bench.app);
    CHECK_THROWS_AS(bench.gate.show(), UsageError);
    CHECK_THROWS_AS(bench.gate.install({}), UsageError);
  }

  TEST_CASE("who looks across is a group, told to policies, and listed") {
    Bench bench;
    const std::string group = bench.app + "_support";
    CHECK_THROWS_WITH_AS(bench.gate.install({.admin_role = bench.app}),
                         "the role to look across tenants may log in", UsageError);
    CHECK(bench.seen({"SELECT tenantctl.looks_across()"}) == "f");
    bench.gate.install({.admin_role = group});
    CHECK(bench.seen({"SELECT tenantctl.looks_across()"}) == "f");
    bench.database.execute("GRANT " + group + " TO " + bench.app);
    CHECK(bench.seen({"SELECT tenantctl.looks_across()"}) == "t");
    CHECK(bench.seen({"SELECT count(*) FROM tenantctl.tenant"}) == "10");
    CHECK(bench.seen({"SELECT tenantctl.enter('acme')", "SELECT tenantctl.looks_across()"}) == "f");
    const auto state = bench.gate.show();
    REQUIRE(state);
    CHECK(state->admin_role == group);
    std::string listed;
    for (const GateRole& role : state->roles) {
      if (role.name.starts_with(bench.app))
        listed += role.looks_across + (role.may_log_in ? " logs in, " : ", ");
    }
    CHECK(listed == "member logs in, admin role, ");
    bench.gate.install({});
    CHECK(bench.gate.show()->admin_role == group);
    bench.gate.install({.admin_role = group + "2"});
    CHECK(bench.sqlstate({"SELECT * FROM tenantctl.tenant"}) == "42501");
    CHECK(bench.seen({"SELECT tenantctl.looks_across()"}) == "f");
    bench.database.execute("DROP OWNED BY " + group + ", " + group + "2; DROP ROLE " + group +
                           ", " + group + "2");
  }
}
