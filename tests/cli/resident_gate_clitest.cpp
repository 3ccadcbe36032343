#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/database_project.h"
#include "support/process.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

/// A fleet of shared rows, schemas and databases out of one folder, whose tables are protected.
class MixedProject : public ManyDatabases {
 public:
  MixedProject() {
    write("tenant/0001_notes.sql", "CREATE TABLE notes (id serial PRIMARY KEY, body text);",
          "DROP TABLE notes;");
    must({"registry", "init"});
    must({"gate", "install"});
    must({"tenant", "create", "small", "--isolation", "rows", "--home", "home"});
  }

  void protect(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"rows", "protect"});
    must(more);
    must({"upgrade-all"});
  }

  std::string id_of(const std::string& slug) {
    return database.value("SELECT id FROM tenantctl.tenant WHERE slug = '" + slug + "'");
  }

  /// What psql prints in the tenant's database, or the SQLSTATE of its error.
  std::string inside(const std::string& tenant, const std::vector<std::string>& statements,
                     const std::string& role = {}) const {
    std::vector<std::string> words{"psql", "-XAtq", conninfo_to(name_of(tenant), role), "-v",
                                   "VERBOSITY=sqlstate"};
    for (const std::string& statement : statements)
      words.insert(words.end(), {"-c", statement});
    const auto run = run_process(words);
    const auto error = run.err.find("ERROR:  ");
    return error == std::string::npos ? run.out : run.err.substr(error + 8, 5);
  }
};

}  // namespace

TEST_SUITE("cli/resident gate") {
  TEST_CASE("what protects shared rows holds in a tenant's own database, copied or made") {
    MixedProject project;
    project.protect();
    project.must({"tenant", "create", "made", "--isolation", "database"});
    project.must({"tenant", "create", "copied", "--isolation", "database", "--template-database",
                  project.name_of("template")});
    for (const std::string tenant : {"made", "copied"}) {
      const std::string id = project.id_of(tenant);
      CHECK(project.inside(tenant, {"INSERT INTO tenant.notes (body) VALUES ('own')",
                                    "SELECT tenant_id FROM tenant.notes"}) == id + "\n");
      CHECK(project.inside(tenant, {"BEGIN", "SELECT tenantctl.enter('" + tenant + "', '0001')",
                                    "SELECT body FROM notes"}) == id + "\nown\n");
      CHECK(project.inside(tenant, {"BEGIN", "SELECT tenantctl.enter('small')"}) == "TG006");
      CHECK(project.inside(tenant, {"BEGIN", "SELECT tenantctl.enter('" + tenant +
                                                 "', '99990101000000')"}) == "TG004");
      CHECK(project.inside(tenant, {"SELECT tenantctl.enter('" + tenant + "')"}) == "25P01");
      CHECK(project.inside(tenant, {"SELECT tenantctl.looks_across()"}) == "f\n");
    }
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("a role that the tenant lets in reads and writes this tenant's rows, and no others") {
    MixedProject project;
    project.protect();
    project.must({"tenant", "create", "acme", "--isolation", "database"});
    const std::string app = project.database.second_role();
    project.database.execute("GRANT CONNECT ON DATABASE \"" + project.name_of("acme") + "\" TO " +
                             app);
    project.inside("acme", {"GRANT USAGE ON SCHEMA tenant TO " + app,
                            "GRANT ALL ON ALL TABLES IN SCHEMA tenant TO " + app,
                            "GRANT ALL ON ALL SEQUENCES IN SCHEMA tenant TO " + app,
                            "INSERT INTO tenant.notes (body, tenant_id) VALUES ('strange', "
                            "gen_random_uuid())"});
    CHECK(project.inside(
              "acme",
              {"INSERT INTO tenant.notes (body) VALUES ('own')", "SELECT body FROM tenant.notes"},
              app) == "own\n");
    CHECK(project.inside("acme",
                         {"INSERT INTO tenant.notes (body, tenant_id) VALUES ('x', "
                          "gen_random_uuid())"},
                         app) == "42501");
    CHECK(project.inside("acme", {"UPDATE tenantctl.resident SET slug = 'x'"}, app) == "42501");
  }

  TEST_CASE("the long way of filled tables goes through a database that is made afterwards") {
    MixedProject project;
    project.database.execute("INSERT INTO home.notes (body) VALUES ('one'), ('two')");
    project.protect({"--backfill-tenant", "small"});
    project.must({"tenant", "create", "acme", "--isolation", "database"});
    CHECK(project.inside("acme", {"INSERT INTO tenant.notes DEFAULT VALUES",
                                  "SELECT count(*) FROM tenant.notes WHERE tenant_id = '" +
                                      project.id_of("acme") + "'"}) == "1\n");
    CHECK(project.database.value("SELECT count(DISTINCT tenant_id) FROM home.notes") == "1");
  }

  TEST_CASE(
      "gate install takes databases along that have none yet, and names who is out of reach") {
    MixedProject project;
    project.must({"tenant", "create", "one", "two", "--isolation", "database"});
    project.inside("one", {"DROP SCHEMA tenantctl CASCADE"});
    CHECK(fault(project.run({"gate", "install"}), 0,
                {"gate unchanged, version 3\nand in 2 own databases of tenants\n"}) == "");
    CHECK(project.inside("one", {"SELECT tenantctl.current_tenant()"}) ==
          project.id_of("one") + "\n");
    project.database.execute("ALTER DATABASE \"" + project.name_of("two") + "\" RENAME TO \"" +
                             project.name_of("away") + "\"");
    CHECK(fault(project.run({"gate", "install"}), 1,
                {"in 1 own database", "two: the gate in its database", "does not exist"}) == "");
    const auto told = project.run({"gate", "install", "-o", "json"});
    CHECK(told.exit_code == 1);
    CHECK(judged(told, "gate-install") == "");
    CHECK(json::parse(told.out)["databases"]["settled"] == 1);
    CHECK(json::parse(told.out)["databases"]["failed"][0]["tenant"] == "two");
  }

  TEST_CASE("a tenantctl schema of somebody else's in a tenant's database is left alone") {
    MixedProject project;
    project.must({"tenant", "create", "acme", "--isolation", "database"});
    project.inside("acme", {"CREATE RULE theirs AS ON INSERT TO tenantctl.resident DO NOTHING"});
    CHECK(fault(project.run({"gate", "install"}), 1, {"acme", "not ours alone"}) == "");
  }
}
