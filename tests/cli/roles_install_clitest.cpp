#include <doctest/doctest.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "support/database_project.h"
#include "support/json_schema.h"

using namespace tenantctl::testing;

namespace {

// A database whose three roles the tool makes, and a tool for whoever logs in.
struct InstalledProject : ManyDatabases {
  const std::string owner = database.name() + "_owner";
  const std::string migrator = database.name() + "_migrator";
  const std::string status = database.name() + "_status";

  InstalledProject() = default;
  ~InstalledProject() {
    try {
      for (const auto& row : database.rows("SELECT datname FROM pg_database WHERE starts_with("
                                           "datname, '" +
                                           database.name() + "_')"))
        database.execute("DROP DATABASE \"" + row.at(0) + "\" WITH (FORCE)");
      for (const std::string& role : {status, migrator, owner}) {
        if (database.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + role + "'") == "1")
          database.execute("DROP OWNED BY " + role + " CASCADE; DROP ROLE " + role);
      }
    } catch (const std::exception& error) {
      std::cerr << "a role was left behind: " << error.what() << '\n';
    }
  }

  InstalledProject(const InstalledProject&) = delete;
  InstalledProject& operator=(const InstalledProject&) = delete;

  void log_in_as_migrator() {
    tool.set_variable("DATABASE_URL", database.conninfo_as(migrator));
    tool.set_variable("TENANTCTL_ROLE", owner);
    tool.set_variable("TENANTCTL_OWNER", {});
  }
  void log_in_as_status() {
    tool.set_variable("DATABASE_URL", database.conninfo_as(status));
    tool.set_variable("TENANTCTL_ROLE", {});
    tool.set_variable("TENANTCTL_OWNER", owner);
  }
  void log_in_as_administrator() {
    tool.set_variable("DATABASE_URL", database.conninfo());
    tool.set_variable("TENANTCTL_ROLE", {});
    tool.set_variable("TENANTCTL_OWNER", {});
  }

  std::string seen_by(const std::string& role, const std::string& query) {
    std::string answer;
    try {
      database.execute("BEGIN; SET LOCAL SESSION AUTHORIZATION " + role);
      answer = database.value(query);
    } catch (const std::runtime_error& error) {
      answer = error.what();
    }
    database.execute("ROLLBACK");
    return answer;
  }
};

}  // namespace

TEST_SUITE("cli/roles, owner, migrator and status") {
  TEST_CASE("the migrator makes what the owner owns, the status role sees and changes nothing") {
    InstalledProject project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write_abc();
    CHECK(fault(project.run({"roles", "install"}), 0,
                {"role " + project.owner + ": owns everything", "\\password",
                 "tenantctl --role " + project.owner, "tenantctl --owner " + project.owner}) == "");
    CHECK(fault(project.run({"roles", "install"}), 0, {"as they should be"}) == "");
    project.log_in_as_migrator();
    project.must({"registry", "init"});
    project.must({"gate", "install"});
    project.must({"tenant", "create", "acme", "beta"});
    if (has_fitting_pg_dump(project))
      project.must({"tenant", "clone", "acme", "gamma"});
    else
      project.must({"tenant", "create", "gamma"});
    project.must({"tenant", "pool", "--keep", "1"});
    project.must({"upgrade-all"});
    CHECK(project.database.value("SELECT count(*) FROM pg_class WHERE relname = 'a' AND "
                                 "pg_get_userbyid(relowner) = '" +
                                 project.owner + "'") == "4");
    project.log_in_as_status();
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"status"},
                                               {"check"},
                                               {"check", "--deep"},
                                               {"status", "--deep"},
                                               {"tenant", "list"},
                                               {"tenant", "show", "acme"},
                                               {"runs"},
                                               {"registry", "check"},
                                               {"current", "--schema", "gamma"},
                                               {"roles", "show"},
                                               {"gate", "show"},
                                               {"upgrade-all", "--dry-run"}}) {
      CAPTURE(command.front() + " " + command.back());
      CHECK(fault(project.run(command), 0) == "");
    }
    CHECK(project.seen_by(project.status, "SELECT count(*) FROM beta.tenantctl_version") == "3");
    CHECK(contains(project.seen_by(project.status, "SELECT count(*) FROM beta.a"),
                   "permission denied"));
    CHECK(contains(project.seen_by(project.migrator, "SELECT count(*) FROM beta.a"),
                   "permission denied"));
    CHECK_FALSE(contains(project.run({"roles", "show"}).out, "may read or change"));
    project.database.execute("GRANT INSERT ON beta.a TO PUBLIC; GRANT SELECT (id) ON acme.b TO " +
                             project.status);
    CHECK(fault(project.run({"roles", "show"}), 0,
                {"2 tables or views that " + project.status + " may read or change", "acme.b"}) ==
          "");
    project.log_in_as_administrator();
    CHECK(fault(project.run({"roles", "install"}), 0,
                {project.status + " sees more than versions", "acme.b the first"}) == "");
  }

  TEST_CASE("what writes fails for the status role, and changes nothing") {
    InstalledProject project;
    project.write_abc();
    project.must({"roles", "install"});
    project.log_in_as_migrator();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    project.log_in_as_status();
    CHECK(fault(project.run({"check"}), 4) == "");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"permission denied"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "acme"}), 1, {"permission denied"}) == "");
    CHECK(fault(project.run({"downgrade-all", "base", "--yes"}), 1, {"must be owner"}) == "");
    CHECK(fault(project.run({"tenant", "create", "beta"}), 1, {"permission denied"}) == "");
    CHECK(fault(project.run({"tenant", "suspend", "acme"}), 1, {"permission denied"}) == "");
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes"}), 1) == "");
    CHECK(project.revision_of("acme") == "0003_c");
    CHECK(project.database.value("SELECT string_agg(slug || ' ' || state, ',') FROM "
                                 "tenantctl.tenant") == "acme ready");
  }

  TEST_CASE(
      "in tenants' databases the roles are let in, in new ones and in those that were there") {
    InstalledProject project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write_abc();
    project.must({"roles", "install"});
    project.database.execute("ALTER ROLE " + project.owner + " CREATEDB");
    project.log_in_as_migrator();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme", "--isolation", "database"});
    project.database.execute("REVOKE CONNECT ON DATABASE " + project.name_of("acme") + " FROM " +
                             project.status);
    project.must({"tenant", "create", "beta"});
    project.must({"tenant", "move", "beta", "--to", "database"});
    project.must({"upgrade-all"});
    project.log_in_as_status();
    CHECK(fault(project.run({"status"}), 1, {"CONNECT"}) == "");
    project.log_in_as_administrator();
    CHECK(fault(project.run({"roles", "install"}), 0, {"in 2 own databases"}) == "");
    project.log_in_as_status();
    CHECK(fault(project.run({"status"}), 0) == "");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }

  TEST_CASE("an existing fleet is told of, and comes to the owner by REASSIGN OWNED") {
    InstalledProject project;
    project.write_abc();
    const std::string before = project.database.second_role();
    project.database.execute("GRANT CREATE ON DATABASE " + project.database.name() + " TO " +
                             before);
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(before));
    project.create_tenants(3);
    project.log_in_as_administrator();
    CHECK(fault(project.run({"roles", "install"}), 0,
                {"3 version tables of " + before, "REASSIGN OWNED BY"}) == "");
    CHECK(fault(project.run({"roles", "show"}), 0,
                {"amiss:", "schema tenantctl belongs to " + before, "calls them foreign"}) == "");
    project.database.execute("REASSIGN OWNED BY " + before + " TO " + project.owner);
    CHECK(fault(project.run({"roles", "install"}), 0,
                {"sees ledger and registry", "3 version tables became readable"}) == "");
    CHECK_FALSE(contains(project.must({"roles", "show"}), "amiss"));
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    project.log_in_as_migrator();
    project.must({"upgrade-all"});
    project.log_in_as_status();
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    project.database.execute("DROP OWNED BY " + before);
  }

  TEST_CASE("a role that may do what it must not is refused by name and left as it is") {
    struct Bad {
      std::string role;
      std::string attributes;
      std::string told;
    };
    for (const Bad& bad :
         {Bad{"status", "LOGIN BYPASSRLS", "has BYPASSRLS"},
          Bad{"status", "LOGIN CREATEROLE", "has CREATEROLE"},
          Bad{"status", "LOGIN IN ROLE pg_monitor", "is a member of pg_monitor"},
          Bad{"owner", "SUPERUSER", "has SUPERUSER"},
          Bad{"owner", "IN ROLE pg_read_server_files", "may act as pg_read_server_files"},
          Bad{"migrator", "LOGIN NOINHERIT IN ROLE pg_execute_server_program",
              "may act as pg_execute_server_program"},
          Bad{"migrator", "LOGIN NOINHERIT CREATEDB", "has CREATEDB"}}) {
      CAPTURE(bad.told);
      InstalledProject project;
      const std::string name = project.database.name() + "_" + bad.role;
      project.database.execute("CREATE ROLE " + name + " " + bad.attributes);
      CHECK(fault(project.run({"roles", "install"}), 2, {"role " + name, bad.told, "HINT:"}) == "");
      CHECK(fault(project.run({"roles", "show"}), 0, {"amiss:", bad.told}) == "");
      CHECK(project.database.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '" +
                                   project.database.name() + "_')") == "1");
      CHECK_FALSE(project.has_schema("tenantctl"));
    }
    InstalledProject project;
    CHECK(fault(project.run({"roles", "install", "--owner-role", "a", "--status-role", "a"}), 2,
                {"must be three"}) == "");
  }

  TEST_CASE("a role that always has the owner's rights is no migrating role") {
    InstalledProject project;
    project.database.execute("CREATE ROLE " + project.owner + "; CREATE ROLE " + project.migrator +
                             " LOGIN INHERIT IN ROLE " + project.owner);
    CHECK(fault(project.run({"roles", "install"}), 2, {project.migrator, "NOINHERIT"}) == "");
  }

  TEST_CASE("what is printed is what would be done, and touches nothing") {
    InstalledProject project;
    project.write_abc();
    const std::string sql = project.must({"roles", "install", "--sql"});
    CHECK(fault(project.run({"roles", "install", "--dry-run"}), 0, {project.status}) == "");
    CHECK(judged(project.run({"roles", "install", "--dry-run", "-o", "json"}), "roles-install") ==
          "");
    CHECK(project.database.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '" +
                                 project.database.name() + "_')") == "0");
    CHECK_FALSE(project.has_schema("tenantctl"));
    project.database.execute(sql);
    CHECK(fault(project.run({"roles", "install"}), 0, {"as they should be"}) == "");
    CHECK(judged(project.run({"roles", "install", "-o", "json"}), "roles-install") == "");
    CHECK(judged(project.run({"roles", "show", "-o", "json"}), "roles-show") == "");
  }

  TEST_CASE("who has CREATEROLE and the database installs them, and nobody else") {
    InstalledProject project;
    const std::string installer = project.database.second_role();
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(installer));
    CHECK(fault(project.run({"roles", "install"}), 2, {"permission denied", "CREATEROLE"}) == "");
    project.database.execute("ALTER ROLE " + installer + " CREATEROLE; ALTER DATABASE " +
                             project.database.name() + " OWNER TO " + installer);
    CHECK(fault(project.run({"roles", "install", "--no-public-execute"}), 0) == "");
    CHECK_FALSE(contains(project.must({"roles", "show"}), "amiss"));
    project.write("tenant/0001_a.sql",
                  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 7';");
    project.log_in_as_migrator();
    project.must({"tenant", "create", "acme"});
    CHECK(project.database.value("SELECT has_function_privilege('" + installer +
                                 "', 'acme.f()', 'EXECUTE') AND NOT pg_has_role('" + installer +
                                 "', '" + project.owner + "', 'USAGE')") == "f");
    project.log_in_as_administrator();
    project.database.execute("ALTER DATABASE " + project.database.name() +
                             " OWNER TO CURRENT_USER");
  }

  TEST_CASE("audit isolation finds nothing in the status role's rights") {
    InstalledProject project;
    project.write_abc();
    project.must({"roles", "install"});
    project.log_in_as_migrator();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme", "beta"});
    const Finished without = project.run({"audit", "isolation"});
    CHECK_FALSE(contains(without.out, project.status));
  }
}
