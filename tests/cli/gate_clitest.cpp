#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/pooler.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

// Three tenants made by the tool, one of them suspended, one behind, and an application's role.
struct GateProject : Project {
  std::string app = database.second_role();

  GateProject() {
    write("tenant/0001_a.sql",
          "CREATE TABLE a (owner text);\nINSERT INTO a VALUES (:'schema');\n"
          "GRANT USAGE ON SCHEMA :\"schema\" TO :\"app\";\nGRANT SELECT ON a TO :\"app\";",
          "DROP TABLE a;");
    write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    tool.set_variable("TENANTCTL_VAR", "app=" + app);
    must({"registry", "init"});
    must({"gate", "install", "--runtime-role", app});
    create_tenants(3);
    must({"downgrade", "0001", "--schema", "t003", "--yes"});
    must({"tenant", "suspend", "t002"});
  }
};

// What a client prints for each call: what it saw, or the SQLSTATE.
constexpr auto in_psycopg = R"python(
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=None) as connection:
    def enter(*arguments):
        try:
            with connection.transaction():
                connection.execute("SELECT tenantctl.enter(%s, %s)", arguments)
                print(connection.execute("SELECT owner FROM a").fetchone()[0])
        except psycopg.Error as error:
            print(error.sqlstate)
    for _ in range(2):
        enter("t001", "0002")
        enter("nobody", None)
        enter("t002", None)
        enter("t003", "0002")
        enter("t003", None)
    try:
        connection.execute("SELECT tenantctl.require_tenant()")
    except psycopg.Error as error:
        print(error.sqlstate)
)python";

constexpr auto seen = "t001\nTG001\nTG002\nTG004\nt003\n";

std::string through_psql(const std::string& conninfo, const std::string& arguments) {
  const auto run = run_process({"psql", "-XAtq", conninfo, "-v", "VERBOSITY=sqlstate", "-c",
                                "BEGIN", "-c", "SELECT tenantctl.enter(" + arguments + ") IS NULL",
                                "-c", "SELECT owner FROM a", "-c", "COMMIT"});
  const auto error = run.err.find("TG");
  return error == std::string::npos ? run.out : run.err.substr(error, 5);
}

}  // namespace

TEST_SUITE("cli/gate") {
  TEST_CASE("the gate is made once, said to be there the second time, and shown") {
    Project project;
    CHECK(fault(project.run({"gate", "show"}), 2, {"no gate", "tenantctl gate install"}) == "");
    CHECK(fault(project.run({"gate", "install"}), 2,
                {"needs the registry", "HINT: tenantctl registry init"}) == "");
    project.must({"registry", "init"});
    CHECK(fault(project.run({"gate", "install"}), 0, {"gate installed, version 3\n"}) == "");
    const std::string app = project.database.second_role();
    const auto again = project.run({"gate", "install", "--runtime-role", app, "-o", "json"});
    CHECK(judged(again, "gate-install") == "");
    CHECK(json::parse(again.out)["action"] == "unchanged");
    const auto show = project.run({"gate", "show", "-o", "json"});
    CHECK(judged(show, "gate-show") == "");
    bool listed = false;
    const auto document = json::parse(show.out);
    for (const auto& role : document["roles"])
      listed |= role["role"] == app && role["may_enter"] == true && !role.contains("looks_across");
    CHECK(listed);
    CHECK(fault(project.run({"gate", "show"}), 0, {"search_path: <tenant>, pg_temp\n", app}) == "");
  }

  TEST_CASE("roles that cannot serve are named, and nothing is changed") {
    Project project;
    project.must({"registry", "init"});
    CHECK(fault(project.run({"gate", "install", "--runtime-role", "no such role"}), 2,
                {"no such role", "CREATE ROLE"}) == "");
    CHECK(fault(project.run({"gate", "install", "--admin-role", project.database.second_role()}), 2,
                {"may log in", "HINT"}) == "");
    CHECK(fault(project.run({"gate", "show"}), 0, {"gate, version 3"}) == "");
  }

  TEST_CASE("applications see what the tenant's revisions saw") {
    GateProject project;
    project.must({"gate", "install", "--shared-in-path", "--search-path-extra", "public"});
    CHECK(project.database.value("SELECT path_behind FROM tenantctl.gate") ==
          ", \"shared\", \"public\", pg_temp");
  }

  TEST_CASE("psql is let in and refused, on the server and through a transaction pooler") {
    GateProject project;
    const Pooler pooler(1);
    for (const std::string& conninfo :
         {project.database.conninfo_as(project.app),
          pooled_conninfo(project.database.conninfo_as(project.app), pooler.address())}) {
      CHECK(through_psql(conninfo, "'t001', '0002'") == "f\nt001\n");
      CHECK(through_psql(conninfo, "'nobody'") == "TG001");
      CHECK(through_psql(conninfo, "'t002'") == "TG002");
      CHECK(through_psql(conninfo, "'t003', '0002'") == "TG004");
      CHECK(through_psql(conninfo, "'t003'") == "f\nt003\n");
    }
    CHECK(pooler.leftovers(project.database).empty());
  }

  TEST_CASE("psycopg is let in and refused, on the server and through a transaction pooler") {
    GateProject project;
    const Pooler pooler(1);
    for (const std::string& conninfo :
         {project.database.conninfo_as(project.app),
          pooled_conninfo(project.database.conninfo_as(project.app), pooler.address())}) {
      const auto run = run_process({"/usr/bin/python3", "-c", in_psycopg, conninfo});
      CAPTURE(run.err);
      CHECK(run.out == std::string(seen) + seen + "TG005\n");
    }
    CHECK(pooler.leftovers(project.database).empty());
  }
}
