#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <string>

#include "support/acting_project.h"
#include "support/journal.h"
#include "support/pooler.h"
#include "support/process.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// Who may not, if the statement is refused; "" if it is not.
std::string refused_to(ActingProject& project, const std::string& role, const std::string& sql) {
  std::string answer;
  try {
    project.database.execute("BEGIN; SET LOCAL SESSION AUTHORIZATION " + role);
    project.database.execute(sql);
  } catch (const std::runtime_error& error) {
    answer = error.what();
  }
  project.database.execute("ROLLBACK");
  return answer;
}

}  // namespace

TEST_SUITE("cli/roles, acting as another") {
  TEST_CASE("everything is the owner's, and who logs in may do nothing by itself") {
    ActingProject project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write_abc();
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme", "beta"});
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);\nINSERT INTO d VALUES (1);");
    project.must({"upgrade-all"});
    CHECK(project.strangers_things() == "");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(project.database.value("SELECT DISTINCT db_user FROM tenantctl.run") ==
          project.login + " as " + project.owner);
    CHECK(project.database.value("SELECT DISTINCT applied_by FROM acme.tenantctl_version") ==
          project.login);
    CHECK(contains(refused_to(project, project.login, "SELECT FROM acme.d"), "permission denied"));
    CHECK(contains(refused_to(project, project.login, "CREATE SCHEMA own"), "permission denied"));
    project.tool.set_variable("TENANTCTL_ROLE", {});
    CHECK(fault(project.run({"upgrade-all"}), 2, {"not ours alone"}) == "");
  }

  TEST_CASE("a revision that changes the role leaves books and the next schema right") {
    for (const std::string text :
         {"RESET ROLE;\nCREATE TABLE e (id int);", "SET ROLE NONE;\nSELECT 1;",
          "SET SESSION AUTHORIZATION DEFAULT;", "SET LOCAL ROLE NONE;\nSELECT 1;",
          "CREATE TABLE e (id int);\nSELECT pg_catalog.set_config('role', 'none', false);",
          "SET ROLE OTHER;\nSELECT 1;", "SET LOCAL ROLE OTHER;\nSET CONSTRAINTS ALL IMMEDIATE;"}) {
      CAPTURE(text);
      ActingProject project;
      project.database.execute("CREATE ROLE " + project.owner + "_other; GRANT " + project.owner +
                               "_other TO " + project.owner);
      std::string revision = text;
      if (const auto at = revision.find("OTHER"); at != std::string::npos)
        revision.replace(at, 5, project.owner + "_other");
      project.create_tenants(4);
      project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
      project.write("tenant/0002_role.sql", revision);
      project.write("tenant/0003_c.sql", "CREATE TABLE c (id int);");
      CHECK(fault(project.run({"upgrade-all", "--jobs", "1"}), 0) == "");
      CHECK(fault(project.run({"check", "--deep"}), 0) == "");
      CHECK(project.revision_of("t004") == "0003_c");
      CHECK(project.strangers_things() == "");
      project.database.execute("REVOKE " + project.owner + "_other FROM " + project.owner +
                               "; DROP ROLE " + project.owner + "_other");
    }
  }

  TEST_CASE("outside a transaction it is the same, whatever the revision sets") {
    for (const std::string text : {"", "SELECT set_config('role', 'none', false);\n"}) {
      CAPTURE(text);
      ActingProject project;
      project.create_tenants(2);
      project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
      project.write_raw("tenant/0002_index.sql",
                        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_id ON a "
                        "(id);\n" +
                            text + "SELECT 1;\n");
      project.write("tenant/0003_c.sql", "CREATE TABLE c (id int);");
      CHECK(fault(project.run({"upgrade-all", "--jobs", "1"}), 0) == "");
      CHECK(fault(project.run({"check", "--deep"}), 0) == "");
      CHECK(project.revision_of("t002") == "0003_c");
      CHECK(project.strangers_things() == "");
    }
  }

  TEST_CASE("a role that is not there, may not be taken or is none is told before anything") {
    ActingProject project;
    project.write_abc();
    for (const std::string role : {"", "_too"}) {
      const std::string name = project.owner + role + "\"; x";
      CHECK(fault(project.run({"upgrade-all", "--role", name}), 2,
                  {"there is no role " + name, "HINT:"}) == "");
    }
    CHECK(fault(project.run({"status", "--role", "none"}), 2, {"none is no role"}) == "");
    CHECK(fault(project.run({"status", "--role", "pg_monitor"}), 2,
                {project.login + " may not act as pg_monitor", "GRANT \"pg_monitor\" TO"}) == "");
  }

  TEST_CASE("a signal cancels what runs, and another run's lock is told by its holder") {
    ActingProject project;
    project.create_tenants(2);
    project.write("tenant/0001_slow.sql", "CREATE TABLE b (id int);\nSELECT pg_sleep(60);");
    auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
    REQUIRE(becomes_true(project.database,
                         "SELECT count(*) >= 2 FROM pg_stat_activity WHERE query LIKE "
                         "'SELECT pg_sleep%' AND datname = current_database()"));
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--lock-wait", "1s"}), 3,
                {"user " + project.login, "pg_sleep"}) == "");
    process.kill(SIGINT);
    CHECK(fault(process.wait(20s), 130, {"interrupted"}) == "");
    CHECK_FALSE(project.has_table("t001", "b"));
  }

  TEST_CASE("a superuser that acts as the owner owns nothing") {
    ActingProject project;
    project.tool.set_variable("DATABASE_URL", project.database.conninfo());
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);");
    project.must({"tenant", "create", "acme"});
    project.must({"upgrade-all"});
    CHECK(project.strangers_things() == "");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }

  TEST_CASE("copies by PostgreSQL's programs and moved tenants are the owner's too") {
    ActingProject project;
    if (!has_fitting_pg_dump(project))
      return;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme"});
    project.must({"tenant", "clone", "acme", "beta"});
    project.must({"tenant", "export", "acme", "--file", "acme.tenant"});
    project.must({"tenant", "import", "acme.tenant", "--as", "gamma"});
    project.must({"tenant", "rename", "gamma", "delta"});
    project.must({"tenant", "drop", "beta", "--yes"});
    CHECK(project.strangers_things() == "");
    CHECK(project.database.value("SELECT count(*) FROM delta.a") == "1");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }

  TEST_CASE("databases of tenants are the owner's, made, moved into and dropped") {
    ActingProject project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme", "--isolation", "database"});
    CHECK(project.database.value("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = "
                                 "'" +
                                 project.name_of("acme") + "'") == project.owner);
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);");
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"check"}), 0) == "");
    project.must({"tenant", "create", "beta"});
    project.must({"tenant", "move", "beta", "--to", "database"});
    CHECK(fault(project.run({"status"}), 0) == "");
    project.must({"tenant", "drop", "acme", "--yes", "--purge"});
    CHECK(project.strangers_things() == "");
  }

  TEST_CASE("a pooler's sessions act as the owner in our transactions alone") {
    ActingProject project;
    const Pooler pooler(3);
    project.tool.set_variable("DATABASE_URL", pooler.conninfo(project.database, project.login));
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme", "beta"});
    project.write("tenant/0002_role.sql",
                  "SET LOCAL ROLE NONE;\nSELECT 1;\nSET CONSTRAINTS ALL IMMEDIATE;");
    project.write("tenant/0003_c.sql", "CREATE TABLE c (id int);");
    CHECK(fault(project.run({"upgrade-all", "--jobs", "2"}), 0) == "");
    CHECK(project.strangers_things() == "");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "drop", "beta", "--yes"}), 0) == "");
    CHECK(fault(project.run({"tenant", "create", "gamma", "--isolation", "database"}), 2,
                {"through a pooler", "--admin-url"}) == "");
    CHECK(pooler.leftovers(project.database).empty());
  }
}
