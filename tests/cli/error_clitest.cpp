#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/project.h"
#include "support/screen.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/errors") {
  TEST_CASE("the server's error points at file, line and column, and names the schema") {
    Project project;
    project.create_tenants(1);
    project.write_raw("tenant/0001_a.sql",
                      "-- a comment\n-- migrate:up\nCREATE TABLE a (id int);\n\n"
                      "UPDATE a SET id = 1\n  WHERE nothing = 2;\n");
    const auto run = project.run({"upgrade", "--schema", "t001"});
    CHECK(fault(run, 1, {"tenant   t001: failed, at base\n"}) == "");
    CHECK(run.err ==
          "tenantctl: t001: upgrade of revision 0001_a failed: column \"nothing\" does not exist "
          "(SQLSTATE 42703)\n"
          "  migrations/tenant/versions/0001_a.sql:6:9\n"
          "      WHERE nothing = 2;\n"
          "            ^\n"
          "HINT: The schema is still at base; mend the file and run the command again.\n");
  }

  TEST_CASE("columns count characters, and a tab keeps its place above the caret") {
    Project project;
    project.create_tenants(1);
    project.write_raw("tenant/0001_a.sql",
                      "-- migrate:up\n-- \u00fc\u00fc\u00fc\nSELECT '\u00e4\u00f6\u20ac';\n"
                      "\tSELECT '\u00e4\u00f6\u20ac\U0001F600', n\u00f6pe;\n");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 1,
                {"column \"n\u00f6pe\" does not exist", "0001_a.sql:4:17\n",
                 "    \tSELECT '\u00e4\u00f6\u20ac\U0001F600', n\u00f6pe;\n",
                 "    \t               ^\n"}) == "");
  }

  TEST_CASE("behind a placeholder the column is still that of the file") {
    Project project;
    project.must({"tenant", "create", "a_tenant_of_a_long_name"});
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE :\"schema\".a (id int);\nSELECT :'schema', :'schema', nope;");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"0001_a.sql:3:30\n"}) == "");
  }

  TEST_CASE("a syntax error is the server's, with its place") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);\nCREATE TABEL b (id int);");
    CHECK(fault(project.run({"upgrade-all"}), 1,
                {"2 schemas: upgrade of revision 0001_a failed: syntax error at or near \"TABEL\"",
                 "0001_a.sql:3:8\n", "    CREATE TABEL b (id int);\n           ^\n"}) == "");
  }

  TEST_CASE("an error inside a function names the statement that called it") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/0001_a.sql",
                  "SELECT 1;\nDO $$\nBEGIN\n  RAISE EXCEPTION 'no %', 'way' USING HINT = 'Turn "
                  "round.';\nEND $$;");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"no way", "0001_a.sql:3"}) == "");
  }

  TEST_CASE("a message of the server cannot move the cursor") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/0001_a.sql",
                  "DO $$ BEGIN RAISE EXCEPTION '%', chr(27) || '[2J' || chr(13); END $$;");
    const auto run = project.run({"upgrade-all"});
    CHECK(run.exit_code == 1);
    CHECK_FALSE(contains(run.err, "\x1b"));
    CHECK_FALSE(contains(run.err, "\r"));
  }

  TEST_CASE("no server is exit 3 and says where it looked") {
    Project project;
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    for (const auto* const command : {"upgrade-all", "status", "check"}) {
      const auto run = project.run({command});
      CHECK(fault(run, 3, {"127.0.0.1", "port 1"}) == "");
      CHECK(run.out == "");
    }
  }

  TEST_CASE("an unknown database and a URL that is none are told too") {
    Project project;
    auto url = project.database.conninfo();
    url.replace(url.find(project.database.name()), project.database.name().size(), "no_such_db");
    CHECK(fault(project.run({"status", "--database-url", url}), 3,
                {"database \"no_such_db\" does not exist"}) == "");
    CHECK(project.run({"status", "--database-url", "http://x"}).exit_code != 0);
  }
}

TEST_SUITE("cli/progress") {
  TEST_CASE("a pipe gets neither a moving line nor an escape code") {
    Project project;
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    project.create_tenants(5);
    project.write_abc();
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 0, {"tenants  5 applied"}) == "");
    for (const auto& text : {run.out, run.err}) {
      CHECK_FALSE(contains(text, "\x1b"));
      CHECK_FALSE(contains(text, "\r"));
    }
  }

  TEST_CASE("a terminal gets a block that is drawn over and taken away") {
    Project project;
    project.create_tenants(4);
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    project.write("tenant/0001_a.sql", "SELECT pg_sleep(0.4);");
    const auto run = project.tool.run_in_terminal({"upgrade-all", "--jobs", "1"});
    // On a busy machine two schemas may end between two drawings.
    CHECK(fault(run, 0,
                {" of 4 schemas, \x1b[32m", " applied\x1b[m, 1 running", "  t00",
                 "tenants  4 applied"}) == "");
    Screen screen(100, 30);
    screen.write(run.out);
    CHECK_FALSE(contains(screen.lines().back(), "of 4 schemas"));
    CHECK(screen.lines().back().starts_with("tenants  4 applied"));
    CHECK(screen.lines().size() == 2);  // behind the warning about the superuser
    const auto quiet = project.tool.run_in_terminal({"upgrade-all", "--quiet"});
    CHECK(fault(quiet, 0, {"4 unchanged"}) == "");
    CHECK_FALSE(contains(quiet.out, "\x1b"));
  }

  TEST_CASE("NO_COLOR takes the colours, a dumb terminal the moving block") {
    Project project;
    project.create_tenants(3);
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    project.write("tenant/0001_a.sql", "SELECT pg_sleep(0.3);", "SELECT pg_sleep(0.3);");
    project.tool.set_variable("NO_COLOR", "1");
    const auto plain = project.tool.run_in_terminal({"upgrade-all", "--jobs", "1"});
    CHECK(fault(plain, 0, {"1 of 3 schemas, 1 applied", "\x1b[J"}) == "");
    CHECK_FALSE(contains(plain.out, "\x1b[3"));
    project.tool.set_variable("TERM", "dumb");
    const auto dumb = project.tool.run_in_terminal({"downgrade-all", "base", "--yes"});
    CHECK(fault(dumb, 0, {"tenants  3 applied"}) == "");
    CHECK_FALSE(contains(dumb.out, "\x1b"));
  }

  TEST_CASE("--verbose tells each schema in a pipe") {
    Project project;
    project.create_tenants(2);
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    project.write("tenant/0001_a.sql", "SELECT 1;");
    const auto run = project.run({"upgrade-all", "--verbose", "--output", "json"});
    CHECK(fault(run, 0, {"tenantctl: t001: applied (1 revision, ", "tenantctl: t002: applied"}) ==
          "");
    CHECK(nlohmann::json::accept(run.out));
  }
}

TEST_SUITE("cli/warnings") {
  TEST_CASE("a superuser is warned once, on stderr") {
    Project project;
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    const auto run = project.run({"status", "-o", "json"});
    CHECK(run.err ==
          "tenantctl: warning: connected as a superuser; a role that owns the schemas "
          "is enough, and safer\n");
    CHECK(nlohmann::json::accept(run.out));
    CHECK(project.run({"status", "-q"}).err == "");
  }
}
