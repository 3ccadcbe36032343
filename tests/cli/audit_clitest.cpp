#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "support/document.h"
#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

// Three tenants with a schema and a role each, and two more in a home of shared rows under one
// role. Roles belong to the whole server, so their names are the database's with a letter: {A}, {B}
// and {C} of t001 to t003, {X} of the rows; {G} is a group without members.
struct AuditedFleet : Project {
  AuditedFleet() {
    write("tenant/0001_notes.sql",
          "CREATE TABLE notes (id int PRIMARY KEY, body text);\n"
          "CREATE SEQUENCE numbers;\n"
          "CREATE FUNCTION total(n int) RETURNS int LANGUAGE sql AS 'SELECT n';");
    must({"upgrade-all"});
    create_tenants(3);
    must({"tenant", "create", "home"});
    database.execute("DROP TABLE home.notes; CREATE SCHEMA IF NOT EXISTS shared");
    for (const char role : roles)
      plant(std::string("CREATE ROLE {") + role + "}");
    register_tenants();
    grant("t001", "{A}");
    grant("t002", "{B}");
    grant("t003", "{C}");
    protect_rows();
    grant("home", "{X}");
  }

  ~AuditedFleet() {
    database.execute("DROP SCHEMA t001, t002, t003, home, shared CASCADE");
    for (const char role : roles) {
      plant(std::string("DROP OWNED BY {") + role + "} CASCADE; DROP ROLE {" + role + "}");
    }
  }

  AuditedFleet(const AuditedFleet&) = delete;
  AuditedFleet& operator=(const AuditedFleet&) = delete;

  std::string role(char letter) const {
    return database.name() + "_" + static_cast<char>(letter + 'a' - 'A');
  }

  std::string filled(std::string sql) const {
    for (const char letter : roles) {
      const std::string place = std::string("{") + letter + "}";
      for (auto at = sql.find(place); at != std::string::npos; at = sql.find(place))
        sql.replace(at, place.size(), role(letter));
    }
    for (auto at = sql.find("{db}"); at != std::string::npos; at = sql.find("{db}"))
      sql.replace(at, 4, database.name());
    return sql;
  }

  void plant(const std::string& sql) { database.execute(filled(sql)); }

  Finished audit(std::vector<std::string> args = {}) const {
    args.insert(args.begin(), {"audit", "isolation"});
    return run(args);
  }

  static constexpr std::string_view roles = "ABCXG";

 private:
  void register_tenants() {
    must({"registry", "init"});
    must({"gate", "install", "--runtime-role", role('X')});
    // So that the rows below need not say the same each time.
    database.execute(
        "ALTER TABLE tenantctl.tenant ALTER COLUMN name SET DEFAULT '-', "
        "ALTER COLUMN state SET DEFAULT 'ready'");
    plant(
        "INSERT INTO tenantctl.tenant (slug, isolation, schema_name, runtime_role) VALUES "
        "('t001', 'schema', 't001', '{A}'), ('t002', 'schema', 't002', '{B}'), "
        "('t003', 'schema', 't003', '{C}'), ('small-one', 'rows', 'home', '{X}'), "
        "('small-two', 'rows', 'home', '{X}')");
  }

  void protect_rows() {
    database.execute(
        "CREATE TABLE home.notes (tenant_id uuid NOT NULL DEFAULT tenantctl.current_tenant(), "
        "body text);"
        "CREATE INDEX notes_tenant ON home.notes (tenant_id);"
        "ALTER TABLE home.notes ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE home.notes FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON home.notes USING (tenant_id = tenantctl.current_tenant()) "
        "WITH CHECK (tenant_id = tenantctl.current_tenant());"
        "INSERT INTO home.notes SELECT id, 'theirs' FROM tenantctl.tenant WHERE isolation = "
        "'rows'");
  }

  void grant(const std::string& schema, const std::string& role_name) {
    plant("GRANT USAGE ON SCHEMA " + schema + " TO " + role_name +
          "; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " +
          role_name);
  }
};

// What is planted, which rules find it and no other, and the object that they name.
struct Hole {
  const char* name;
  std::set<std::string> rules;
  const char* object;
  const char* plant;
  const char* mend;
};

const std::vector<Hole>& holes() {
  static const std::vector<Hole> all{
      {"one role for two schemas",
       {"A0"},
       "{A}",
       "UPDATE tenantctl.tenant SET runtime_role = '{A}' WHERE slug = 't002'",
       "UPDATE tenantctl.tenant SET runtime_role = '{B}' WHERE slug = 't002'"},
      {"a registered schema is missing",
       {"A1"},
       "ghost",
       "INSERT INTO tenantctl.tenant (slug, isolation, schema_name) "
       "VALUES ('ghost', 'schema', 'ghost')",
       "DELETE FROM tenantctl.tenant WHERE slug = 'ghost'"},
      {"a registered schema has no version table",
       {"A1"},
       "plain",
       "CREATE SCHEMA plain; INSERT INTO tenantctl.tenant (slug, isolation, schema_name) "
       "VALUES ('plain', 'schema', 'plain')",
       "DROP SCHEMA plain; DELETE FROM tenantctl.tenant WHERE slug = 'plain'"},
      {"a registered role is missing",
       {"A1"},
       "nobody_here",
       "UPDATE tenantctl.tenant SET runtime_role = 'nobody_here' WHERE slug = 't003'",
       "UPDATE tenantctl.tenant SET runtime_role = '{C}' WHERE slug = 't003'"},
      {"a registered database is missing",
       {"A1"},
       "no_such_database",
       "INSERT INTO tenantctl.tenant (slug, isolation, database_name) "
       "VALUES ('big', 'database', 'no_such_database')",
       "DELETE FROM tenantctl.tenant WHERE slug = 'big'"},
      {"a tenant is not registered",
       {"A1"},
       "t003",
       "DELETE FROM tenantctl.tenant WHERE slug = 't003'",
       "INSERT INTO tenantctl.tenant (slug, isolation, schema_name, runtime_role) "
       "VALUES ('t003', 'schema', 't003', '{C}')"},
      {"USAGE on another's schema",
       {"A2"},
       "t002",
       "GRANT USAGE ON SCHEMA t002 TO {A}",
       "REVOKE USAGE ON SCHEMA t002 FROM {A}"},
      {"CREATE on another's schema",
       {"A2", "A6"},
       "t002",
       "GRANT CREATE ON SCHEMA t002 TO {A}",
       "REVOKE CREATE ON SCHEMA t002 FROM {A}"},
      {"USAGE through a group",
       {"A2"},
       "t002",
       "GRANT {G} TO {A}; GRANT USAGE ON SCHEMA t002 TO {G}",
       "REVOKE {G} FROM {A}; REVOKE USAGE ON SCHEMA t002 FROM {G}"},
      {"a right on another's table",
       {"A3"},
       "t002.notes",
       "GRANT SELECT ON t002.notes TO {A}",
       "REVOKE SELECT ON t002.notes FROM {A}"},
      {"a right on another's column",
       {"A3"},
       "t002.notes.body",
       "GRANT SELECT (body) ON t002.notes TO {A}",
       "REVOKE SELECT (body) ON t002.notes FROM {A}"},
      {"a right on another's sequence",
       {"A3"},
       "t002.numbers",
       "GRANT USAGE ON SEQUENCE t002.numbers TO {A}",
       "REVOKE USAGE ON SEQUENCE t002.numbers FROM {A}"},
      {"a rows tenant's role reaches a schema tenant's table",
       {"A3"},
       "t001.notes",
       "GRANT UPDATE ON t001.notes TO {X}",
       "REVOKE UPDATE ON t001.notes FROM {X}"},
      {"SUPERUSER", {"A4"}, "{A}", "ALTER ROLE {A} SUPERUSER", "ALTER ROLE {A} NOSUPERUSER"},
      {"BYPASSRLS", {"A4"}, "{X}", "ALTER ROLE {X} BYPASSRLS", "ALTER ROLE {X} NOBYPASSRLS"},
      {"CREATEROLE", {"A4"}, "{A}", "ALTER ROLE {A} CREATEROLE", "ALTER ROLE {A} NOCREATEROLE"},
      {"pg_read_all_data through a group",
       {"A4"},
       "pg_read_server_files",
       "GRANT pg_read_server_files TO {G}; GRANT {G} TO {A}",
       "REVOKE pg_read_server_files FROM {G}; REVOKE {G} FROM {A}"},
      {"membership in another tenant's role",
       {"A4"},
       "{B}",
       "GRANT {B} TO {A}",
       "REVOKE {B} FROM {A}"},
      {"membership in a role that bypasses row security",
       {"A4"},
       "{G}",
       "ALTER ROLE {G} BYPASSRLS; GRANT {G} TO {X}",
       "ALTER ROLE {G} NOBYPASSRLS; REVOKE {G} FROM {X}"},
      {"PUBLIC on a schema",
       {"A5"},
       "t001",
       "GRANT USAGE ON SCHEMA t001 TO PUBLIC",
       "REVOKE USAGE ON SCHEMA t001 FROM PUBLIC"},
      {"PUBLIC on a table",
       {"A5"},
       "t001.notes",
       "GRANT SELECT ON t001.notes TO PUBLIC",
       "REVOKE SELECT ON t001.notes FROM PUBLIC"},
      {"PUBLIC on a column",
       {"A5"},
       "t001.notes.body",
       "GRANT SELECT (body) ON t001.notes TO PUBLIC",
       "REVOKE SELECT (body) ON t001.notes FROM PUBLIC"},
      {"CREATE on the own schema",
       {"A6"},
       "t001",
       "GRANT CREATE ON SCHEMA t001 TO {A}",
       "REVOKE CREATE ON SCHEMA t001 FROM {A}"},
      {"CREATE on the shared schema",
       {"A6"},
       "shared",
       "GRANT CREATE ON SCHEMA shared TO PUBLIC",
       "REVOKE CREATE ON SCHEMA shared FROM PUBLIC"},
      {"a definer with the caller's path",
       {"A7"},
       "shared.f()",
       "CREATE FUNCTION shared.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
       "REVOKE EXECUTE ON FUNCTION shared.f() FROM PUBLIC",
       "DROP FUNCTION shared.f()"},
      {"a definer that PUBLIC may execute",
       {"A7"},
       "t001.f()",
       "CREATE FUNCTION t001.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
       "SET search_path = pg_catalog AS 'SELECT 1'",
       "DROP FUNCTION t001.f()"},
      {"a shared view of a tenant's table",
       {"A8"},
       "t001",
       "CREATE VIEW shared.v AS SELECT * FROM t001.notes",
       "DROP VIEW shared.v"},
      {"a foreign key across",
       {"A8"},
       "t001",
       "CREATE TABLE t002.k (id int REFERENCES t001.notes)",
       "DROP TABLE t002.k"},
      {"inheritance across",
       {"A8"},
       "t001",
       "CREATE TABLE t002.k () INHERITS (t001.notes)",
       "DROP TABLE t002.k"},
      {"a default across",
       {"A8"},
       "t001",
       "ALTER TABLE t002.notes ADD COLUMN n int DEFAULT nextval('t001.numbers')",
       "ALTER TABLE t002.notes DROP COLUMN n"},
      {"a trigger across",
       {"A8"},
       "t001",
       "CREATE FUNCTION t001.trip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
       "CREATE TRIGGER trip BEFORE INSERT ON t002.notes EXECUTE FUNCTION t001.trip()",
       "DROP FUNCTION t001.trip() CASCADE"},
      {"default privileges for another's role",
       {"A9"},
       "t001",
       "ALTER DEFAULT PRIVILEGES IN SCHEMA t001 GRANT SELECT ON TABLES TO {B}",
       "ALTER DEFAULT PRIVILEGES IN SCHEMA t001 REVOKE SELECT ON TABLES FROM {B}"},
      {"default privileges for PUBLIC",
       {"A9"},
       "(all schemas)",
       "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
       "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC"},
      {"a table of somebody else's",
       {"A10"},
       "t001.notes",
       "ALTER TABLE t001.notes OWNER TO {G}",
       "ALTER TABLE t001.notes OWNER TO CURRENT_USER"},
      {"a schema of somebody else's",
       {"A10"},
       "t003",
       "ALTER SCHEMA t003 OWNER TO {C}",
       "ALTER SCHEMA t003 OWNER TO CURRENT_USER; GRANT USAGE ON SCHEMA t003 TO {C}"},
      {"an untrusted language",
       {"A11"},
       "evil",
       "CREATE LANGUAGE evil HANDLER plpgsql_call_handler",
       "DROP LANGUAGE evil"},
      {"a foreign server",
       {"A11"},
       "outside",
       "CREATE FOREIGN DATA WRAPPER bare; CREATE SERVER outside FOREIGN DATA WRAPPER bare; "
       "GRANT USAGE ON FOREIGN SERVER outside TO {A}",
       "DROP FOREIGN DATA WRAPPER bare CASCADE"},
      {"large objects",
       {"A11"},
       "pg_largeobject",
       "SELECT lo_create(4711)",
       "SELECT lo_unlink(4711)"},
      {"a role's path at another's schema",
       {"A12"},
       "t002",
       "ALTER ROLE {A} SET search_path = t002",
       "ALTER ROLE {A} RESET search_path"},
      {"the database's path at a tenant's schema",
       {"A12"},
       "t001",
       "ALTER DATABASE {db} SET search_path = \"$user\", t001",
       "ALTER DATABASE {db} RESET search_path"},
      {"a tenant that is preset for everybody",
       {"A12"},
       "tenantctl.tenant_id",
       "ALTER DATABASE {db} SET tenantctl.tenant_id = '4f0c9ed4-2e7a-4a0b-9d6b-4ad0f4d3c111'",
       "ALTER DATABASE {db} RESET tenantctl.tenant_id"},
      {"two tenants in one schema but for case",
       {"A13"},
       "t001",
       "CREATE SCHEMA \"T001\"; INSERT INTO tenantctl.tenant (slug, isolation, schema_name, state) "
       "VALUES ('t001-again', 'schema', 'T001', 'provisioning')",
       "DROP SCHEMA \"T001\"; DELETE FROM tenantctl.tenant WHERE slug = 't001-again'"},
      {"a shared table without the column",
       {"R1"},
       "home.country",
       "CREATE TABLE home.country (code text)",
       "DROP TABLE home.country"},
      {"row security not enabled",
       {"R2"},
       "home.notes",
       "ALTER TABLE home.notes DISABLE ROW LEVEL SECURITY",
       "ALTER TABLE home.notes ENABLE ROW LEVEL SECURITY"},
      {"row security not forced",
       {"R3"},
       "home.notes",
       "ALTER TABLE home.notes NO FORCE ROW LEVEL SECURITY",
       "ALTER TABLE home.notes FORCE ROW LEVEL SECURITY"},
      {"no policy",
       {"R4"},
       "home.notes",
       "DROP POLICY own ON home.notes",
       "CREATE POLICY own ON home.notes USING (tenant_id = tenantctl.current_tenant())"},
      {"a policy that allows all",
       {"R5"},
       "home.notes",
       "CREATE POLICY wide ON home.notes FOR SELECT USING (true)",
       "DROP POLICY wide ON home.notes"},
      {"a policy that allows without a tenant",
       {"R5"},
       "home.notes",
       "CREATE POLICY wide ON home.notes USING (tenant_id = tenantctl.current_tenant() "
       "OR tenantctl.current_tenant() IS NULL)",
       "DROP POLICY wide ON home.notes"},
      {"no index led by the column",
       {"R6"},
       "home.notes",
       "DROP INDEX home.notes_tenant; CREATE INDEX notes_body ON home.notes (body, tenant_id)",
       "DROP INDEX home.notes_body; CREATE INDEX notes_tenant ON home.notes (tenant_id)"},
      {"a materialized view of all rows",
       {"R7"},
       "home.m",
       "CREATE MATERIALIZED VIEW home.m AS SELECT * FROM home.notes; GRANT SELECT ON home.m TO {X}",
       "DROP MATERIALIZED VIEW home.m"},
      {"a superuser's view of all rows",
       {"R7"},
       "home.v",
       "CREATE VIEW home.v AS SELECT * FROM home.notes; GRANT SELECT ON home.v TO {X}",
       "DROP VIEW home.v"}};
  return all;
}

std::set<std::string> rules_of(const json& audit) {
  std::set<std::string> rules;
  for (const json& finding : audit["findings"])
    rules.insert(finding["rule"]);
  return rules;
}

bool names(const json& audit, const std::string& object) {
  return std::ranges::any_of(
      audit["findings"], [&object](const json& finding) { return finding["object"] == object; });
}

}  // namespace

TEST_SUITE("cli/audit") {
  TEST_CASE("each planted hole is found and named, alone, and a clean fleet is green") {
    AuditedFleet fleet;
    CHECK(fault(fleet.audit(), 0, {"audit    0 findings in 3 tenants' schemas, 1 home"}) == "");
    std::set<std::string> found;
    REQUIRE(holes().size() >= 26);
    for (const Hole& hole : holes()) {
      CAPTURE(hole.name);
      fleet.plant(hole.plant);
      const auto run = fleet.audit({"--output", "json"});
      CAPTURE(run.out);
      CAPTURE(run.err);
      CHECK(run.exit_code == 4);
      const json audit = document(run);
      CHECK(rules_of(audit) == hole.rules);
      CHECK(names(audit, fleet.filled(hole.object)));
      found.insert(hole.rules.begin(), hole.rules.end());
      fleet.plant(hole.mend);
    }
    CHECK(fault(fleet.audit(), 0, {"0 findings"}) == "");
    CHECK(found.size() == 21);
  }

  TEST_CASE("the document fits its schema, with and without a probe") {
    AuditedFleet fleet;
    fleet.plant("GRANT SELECT ON t002.notes TO {A}");
    const auto schema = source_folder() / "tests/schemas/audit-isolation.schema.json";
    CHECK(schema_errors(fleet.audit({"-o", "json"}).out, schema) == "");
    CHECK(schema_errors(fleet.audit({"-o", "json", "--probe", "--pairs", "2"}).out, schema) == "");
  }

  TEST_CASE("what is accepted is counted, not told, and an unknown rule is refused") {
    AuditedFleet fleet;
    fleet.database.execute(
        "CREATE TABLE home.country (code text); CREATE TABLE home.other (n int)");
    CHECK(fault(fleet.audit({"--ignore", "R1:home.c*"}), 4, {"home.other", "(1 ignored)"}) == "");
    CHECK(fault(fleet.audit({"--ignore", "R1"}), 0, {"0 findings (2 ignored)"}) == "");
    CHECK(fault(fleet.audit({"--ignore", "R99"}), 2, {"R99"}) == "");
    CHECK(fault(fleet.audit({"--rows-schema", "nowhere"}), 2, {"nowhere"}) == "");
  }

  TEST_CASE("many findings are no wall") {
    AuditedFleet fleet;
    for (int i = 0; i < 25; ++i)
      fleet.database.execute("CREATE TABLE home.bare" + std::to_string(i) + " (n int)");
    const auto run = fleet.audit();
    CHECK(fault(run, 4, {"(25 findings)", "... and 15 more", "HINT: "}) == "");
    CHECK_FALSE(contains(run.out, "home.bare9"));
    CHECK(fault(fleet.audit({"--all"}), 4, {"home.bare9"}) == "");
  }

  TEST_CASE("without a registry it says what it cannot judge") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    const auto run = project.run({"audit", "isolation"});
    CHECK(fault(run, 0,
                {"not judged: A1 ", "not judged: A2 ", "not judged: R1 ",
                 "no tenant's role is known", "0 findings in 2 tenants' schemas"}) == "");
    project.database.execute("GRANT USAGE ON SCHEMA t001 TO PUBLIC");
    CHECK(fault(project.run({"audit", "isolation"}), 4, {"A5 error", "PUBLIC on t001"}) == "");
    CHECK(fault(project.run({"audit", "isolation", "--probe"}), 4, {"P0 error"}) == "");
  }

  TEST_CASE("a probe of a clean fleet is denied everywhere") {
    AuditedFleet fleet;
    const auto run = fleet.audit({"--probe", "--pairs", "100", "--seed", "7", "-o", "json"});
    CHECK(fault(run, 0) == "");
    const json probe = document(run)["probe"];
    CHECK(probe["seed"] == "7");
    CHECK(probe["pairs"] == 20);
    CHECK(probe["attempts"] > 100);
    CHECK(probe["attempts"] == probe["denied"]);
  }

  TEST_CASE("a probe crosses where it can, and leaves nothing") {
    AuditedFleet fleet;
    fleet.plant(
        "GRANT USAGE, CREATE ON SCHEMA t002 TO {A}; "
        "GRANT SELECT, DELETE ON t002.notes TO {A}; "
        "GRANT USAGE ON SEQUENCE t002.numbers TO {A}; "
        "CREATE POLICY wide ON home.notes USING (true); "
        "INSERT INTO t002.notes VALUES (1, 'theirs')");
    fleet.database.execute("ALTER DATABASE " + fleet.database.name() + " SET row_security = off");
    const auto run = fleet.audit({"--probe", "--pairs", "100", "-o", "json"});
    CAPTURE(run.out);
    CHECK(run.exit_code == 4);
    const json audit = document(run);
    const auto crossed = [&](const std::string& rule, const std::string& object) {
      return std::ranges::any_of(audit["findings"], [&](const json& finding) {
        return finding["rule"] == rule && finding["object"] == object;
      });
    };
    CHECK(crossed("P1", "t002.notes"));
    CHECK(crossed("P2", "t002.notes"));
    CHECK(crossed("P2", "t002.numbers"));
    CHECK(crossed("P3", "t002"));
    CHECK(crossed("P4", "t002.total"));
    CHECK(crossed("P1", "home.notes"));
    CHECK(crossed("P2", "home.notes"));
    CHECK_FALSE(crossed("P1", "t001.notes"));
    CHECK(fleet.database.value("SELECT count(*) FROM t002.notes") == "1");
    CHECK(fleet.database.value("SELECT count(*) FROM home.notes") == "2");
    CHECK_FALSE(fleet.has_table("t002", "tenantctl_probe"));
  }

  TEST_CASE("a role that cannot be assumed is a finding") {
    AuditedFleet fleet;
    const std::string& login = fleet.database.second_role();
    fleet.database.execute("GRANT USAGE ON SCHEMA tenantctl TO " + login +
                           "; GRANT SELECT ON ALL TABLES IN SCHEMA tenantctl TO " + login);
    const std::string owner = fleet.database.value("SELECT current_user");
    const auto run = fleet.audit({"--probe", "--pairs", "1", "--database-url",
                                  fleet.database.conninfo_as(login), "--owner", owner});
    CHECK(fault(run, 4, {"P0 error", "SET ROLE failed"}) == "");
    fleet.database.execute("DROP OWNED BY " + login);
  }
}
