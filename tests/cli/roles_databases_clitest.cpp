#include <doctest/doctest.h>

#include <exception>
#include <iostream>
#include <string>

#include "support/database_project.h"

using namespace tenantctl::testing;

namespace {

// Tenants with a database each, whose sessions work as roles that the tool makes.
struct InsideProject : DatabaseProject {
  const std::string app = database.second_role();

  InsideProject() {
    write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    database.execute("ALTER ROLE " + app + " NOINHERIT");
  }

  ~InsideProject() {
    try {
      for (const auto& row : database.rows("SELECT datname FROM pg_database WHERE starts_with("
                                           "datname, '" +
                                           database.name() + "_')"))
        database.execute("DROP DATABASE \"" + row.at(0) + "\" WITH (FORCE)");
      for (const auto& row :
           database.rows("SELECT rolname FROM pg_roles WHERE starts_with(rolname, "
                         "'rt_" +
                         database.name() + "') ORDER BY length(rolname) DESC"))
        database.execute("DROP OWNED BY \"" + row[0] + "\"; DROP ROLE \"" + row[0] + "\"");
    } catch (const std::exception& error) {
      std::cerr << "a role was left behind: " << error.what() << '\n';
    }
  }

  InsideProject(const InsideProject&) = delete;
  InsideProject& operator=(const InsideProject&) = delete;

  // Cut, and ended by a digest, where database and tenant have long names.
  std::string role_of(const std::string& tenant) const {
    return database.value("SELECT runtime_role FROM tenantctl.tenant WHERE slug = '" + tenant +
                          "'");
  }

  void create_own(const std::string& tenant) {
    create({tenant, "--runtime-role", "per-tenant", "--runtime-member", app});
  }

  bool has_role(const std::string& role) {
    return database.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + role + "'") == "1";
  }

  // What a query gives to the application in a tenant's database, as a role, or the refusal.
  std::string seen(const std::string& tenant, const std::string& role, const std::string& query) {
    const Finished psql = run_process(
        {"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo_to(name_of(tenant), app), "-c",
         "BEGIN", "-c", role.empty() ? "SELECT" : "SET LOCAL ROLE \"" + role + "\"", "-c", query});
    return psql.exit_code == 0 ? psql.out : psql.err;
  }
};

}  // namespace

TEST_SUITE("cli/roles, in tenants' databases") {
  TEST_CASE("a tenant's own role reaches what is in its database and what comes, and no other's") {
    InsideProject project;
    project.create_own("acme");
    project.create_own("beta");
    project.write("tenant/0002_b.sql",
                  "CREATE TABLE b (id int); CREATE SEQUENCE s; "
                  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 7';",
                  "DROP FUNCTION f; DROP SEQUENCE s; DROP TABLE b;");
    project.must({"upgrade-all"});
    const std::string role = project.role_of("acme");
    CHECK(role.starts_with("rt_" + project.database.name() + "_"));
    CHECK(contains(project.seen("acme", role,
                                "SELECT tenantctl.enter('acme') IS NOT NULL, nextval('tenant.s') + "
                                "tenant.f() + (SELECT count(*) FROM tenant.b)"),
                   "t|8"));
    CHECK(contains(project.seen("acme", "", "SELECT FROM tenant.a"), "permission denied"));
    CHECK(contains(project.seen("acme", role, "SELECT FROM tenant.tenantctl_version"),
                   "permission denied"));
    CHECK(contains(project.seen("acme", role, "CREATE TABLE tenant.own (id int)"),
                   "permission denied"));
    CHECK(contains(project.seen("acme", project.role_of("beta"), "SELECT FROM tenant.a"),
                   "permission denied"));
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
  }

  TEST_CASE("a role that is there works for many tenants, and may connect to their databases") {
    InsideProject project;
    project.create({"acme", "beta", "--runtime-role", project.app});
    CHECK(contains(project.seen("beta", "", "SELECT count(*) FROM tenant.a"), "0"));
    CHECK(fault(project.run({"tenant", "create", "gamma", "--isolation", "database",
                             "--runtime-role", "nobody_here"}),
                2, {"there is no role nobody_here"}) == "");
    project.must({"tenant", "drop", "beta", "--yes", "--purge"});
    CHECK(project.has_role(project.app));
  }

  TEST_CASE("renamed, dropped and brought back it keeps its role, purged it takes it along") {
    InsideProject project;
    project.create_own("acme");
    const std::string role = project.role_of("acme");
    project.must({"tenant", "rename", "acme", "zenith"});
    CHECK(contains(project.seen("zenith", role, "SELECT count(*) FROM tenant.a"), "0"));
    CHECK(fault(project.run({"tenant", "create", "acme", "--isolation", "database",
                             "--runtime-role", "per-tenant"}),
                2, {"tenant zenith works as a role"}) == "");
    project.must({"tenant", "drop", "zenith", "--yes"});
    CHECK(contains(project.seen("zenith", role, "SELECT 1"), "not currently accepting"));
    CHECK(project.has_role(role));
    project.must({"tenant", "undrop", "zenith"});
    CHECK(contains(project.seen("zenith", role, "SELECT count(*) FROM tenant.a"), "0"));
    project.must({"tenant", "drop", "zenith", "--yes"});
    project.must({"tenant", "purge", "zenith", "--all", "--yes"});
    CHECK_FALSE(project.has_role(role));
  }

  TEST_CASE("a revision that fails leaves no role, and a stranger's of the name is not taken") {
    InsideProject project;
    project.create_own("acme");
    const std::string role = project.role_of("acme");
    project.must({"tenant", "drop", "acme", "--yes", "--purge"});
    CHECK_FALSE(project.has_role(role));
    project.write("tenant/0002_bad.sql", "SELECT 1 / 0;", "SELECT 1;");
    const std::vector<std::string> again{"tenant",   "create",         "acme",      "--isolation",
                                         "database", "--runtime-role", "per-tenant"};
    CHECK(fault(project.run(again), 1) == "");
    CHECK_FALSE(project.has_role(role));
    project.remove("tenant/0002_bad.sql");
    project.database.execute("CREATE ROLE \"" + role + "\"");
    CHECK(fault(project.run(again), 2, {"is there, and not ours"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "0");
  }

  TEST_CASE("moved between schema and database a tenant works as its role in both") {
    InsideProject project;
    project.must({"gate", "install", "--runtime-role", project.app});
    project.must({"tenant", "create", "acme", "--runtime-role", "per-tenant", "--runtime-member",
                  project.app});
    const std::string role = project.role_of("acme");
    project.database.execute("INSERT INTO acme.a VALUES (1)");
    project.must({"tenant", "move", "acme", "--to", "database"});
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM tenant.a"), "1"));
    project.must({"tenant", "move", "acme", "--confirm"});
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    project.must({"tenant", "move", "acme", "--to", "schema"});
    CHECK(project.database.value("SELECT has_table_privilege('" + role +
                                 "', 'acme.a', 'SELECT')") == "t");
    CHECK(project.database.value("SELECT has_function_privilege('" + role +
                                 "', 'tenantctl.enter(text, text)', 'EXECUTE')") == "t");
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
  }
}
