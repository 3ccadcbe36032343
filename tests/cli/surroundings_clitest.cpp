#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/journal.h"
#include "support/pooler.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// A project whose tool is an ordinary role with settings of its own, and a table for what its
/// revisions see.
struct OrdinaryProject : Project {
  OrdinaryProject() : role(database.second_role()) {
    database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " + role);
    tool.set_variable("DATABASE_URL", database.conninfo_as(role));
  }

  // For this role in this database, which beats what is set for either alone.
  void set(const std::string& name, const std::string& value) {
    database.execute("ALTER ROLE " + role + " IN DATABASE " + database.name() + " SET " + name +
                     " = '" + value + "'");
  }

  std::string role;
};

// For every function and operator that takes text, names, numbers or oids of one sort, one that
// counts its calls and says NULL, which would be noticed too.
void plant(TestDatabase& database) {
  database.execute(R"(
DO $plant$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT DISTINCT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
           format_type(p.prorettype, NULL) AS result
      FROM pg_proc p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
       AND p.proname IN ('set_config', 'current_setting', 'lower', 'length', 'left', 'right', 'now',
                         'clock_timestamp', 'format', 'quote_ident', 'obj_description', 'encode',
                         'pg_try_advisory_xact_lock', 'pg_try_advisory_lock', 'starts_with',
                         'pg_advisory_unlock_all', 'pg_advisory_unlock', 'pg_backend_pid',
                         'has_schema_privilege', 'pg_has_role', 'concat_ws', 'md5', 'sha256',
                         'pg_current_xact_id', 'txid_current', 'date_part', 'extract', 'age',
                         'pg_is_in_recovery', 'to_char', 'array_length', 'cardinality', 'strpos',
                         'substr', 'substring', 'replace', 'split_part', 'regexp_replace')
       AND p.provariadic = 0
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
                     '$$BEGIN PERFORM pg_catalog.nextval(''public.calls''); RETURN NULL; END$$',
                     one.proname, one.arguments, one.result);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  FOR one IN
    SELECT DISTINCT o.oprname, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r,
           format_type(o.oprresult, NULL) AS result
      FROM pg_operator o
     WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b'
       AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*', '/', '~', '~~', '!~~', '%')
       AND o.oprresult <> 0
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.planted(%s, %s) RETURNS %s LANGUAGE plpgsql AS '
                     '$$BEGIN PERFORM pg_catalog.nextval(''public.calls''); RETURN NULL; END$$',
                     one.l, one.r, one.result);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
      EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.planted, LEFTARG = %s, '
                     'RIGHTARG = %s)', one.oprname, one.l, one.r);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $plant$)");
  REQUIRE(std::stoi(database.value("SELECT pg_catalog.count(*) FROM pg_catalog.pg_operator WHERE "
                                   "oprnamespace = 'public'::regnamespace")) > 100);
  REQUIRE(std::stoi(database.value("SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc WHERE "
                                   "pronamespace = 'public'::regnamespace")) > 150);
}

bool has_line(const std::string& text, std::string_view begin) {
  const auto lines = lines_of(text);
  return std::any_of(lines.begin(), lines.end(),
                     [begin](const std::string& line) { return line.starts_with(begin); });
}

int server_version(Project& project) {
  return std::stoi(project.database.value("SHOW server_version_num"));
}

}  // namespace

TEST_SUITE("cli/surroundings") {
  TEST_CASE("a role whose settings in this database are all hostile does its work") {
    OrdinaryProject project;
    project.set("default_transaction_isolation", "serializable");
    project.set("default_transaction_read_only", "on");
    project.set("default_transaction_deferrable", "on");
    project.set("statement_timeout", "150ms");
    project.set("lock_timeout", "10ms");
    project.set("idle_in_transaction_session_timeout", "20ms");
    project.set("search_path", "nowhere");
    project.set("synchronous_commit", "off");
    project.set("standard_conforming_strings", "off");
    project.set("check_function_bodies", "off");
    project.set("array_nulls", "off");
    project.set("exit_on_error", "on");
    project.set("DateStyle", "German");
    if (server_version(project) >= 140000)
      project.set("idle_session_timeout", "100ms");
    if (server_version(project) >= 170000)
      project.set("transaction_timeout", "200ms");
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int, t text DEFAULT 'a\\');",
                  "DROP TABLE a;");
    CHECK(fault(project.run({"tenant", "create", "t1", "t2", "t3"}), 0, {"3 applied"}) == "");
    // Longer than any of the limits, while the control connection is idle.
    project.write("tenant/0002_b.sql", "SELECT pg_sleep(0.6);", "SELECT 1;");
    project.write_raw("tenant/0003_c.sql",
                      "-- migrate:up transaction:false\n"
                      "CREATE INDEX CONCURRENTLY a_id ON a (id);\n"
                      "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY a_id;\n");
    const auto run = project.run({"upgrade-all", "--output", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(nlohmann::json::parse(run.out)["recorded"] == true);
    CHECK(project.database.value("SELECT count(*) FROM pg_index WHERE indisvalid AND "
                                 "indexrelid::regclass::text LIKE 't%.a_id'") == "3");
    CHECK(project.database.value("INSERT INTO t1.a VALUES (1) RETURNING t") == "a\\");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"runs"}), 0, {"upgrade-all"}) == "");
    CHECK(fault(project.run({"downgrade-all", "base", "--yes"}), 0, {"3 applied"}) == "");
  }

  TEST_CASE("two runs of a role that is serializable by default read what the other did") {
    for (const std::string level : {"serializable", "repeatable read"}) {
      CAPTURE(level);
      OrdinaryProject project;
      project.set("default_transaction_isolation", level);
      create_journal(project.database);
      project.database.execute("GRANT ALL ON public.journal TO " + project.role);
      project.create_tenants(40);
      for (const std::string number : {"1", "2", "3"})
        project.write("tenant/000" + number + "_step.sql",
                      "CREATE TABLE t" + number + " (id int);\nSELECT pg_sleep(0.005);\n" +
                          "INSERT INTO public.journal VALUES (:'schema', " + number + ");");
      auto first = project.tool.start({"upgrade-all", "--jobs", "2"});
      auto second = project.tool.start({"upgrade-all", "--jobs", "2", "--depth", "4"});
      CHECK(fault(first.wait(60s), 0) == "");
      CHECK(fault(second.wait(60s), 0) == "");
      CHECK(journal_counts(project.database) == "120 rows, 0 doubled");
      CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    }
  }

  TEST_CASE("who is deferrable by default waits for no writer") {
    OrdinaryProject project;
    project.set("default_transaction_isolation", "serializable");
    project.set("default_transaction_read_only", "on");
    project.set("default_transaction_deferrable", "on");
    project.database.execute("CREATE TABLE public.busy (i int)");
    project.database.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE");
    project.database.execute("INSERT INTO public.busy SELECT count(*) FROM public.busy");
    project.write_abc();
    CHECK(fault(project.run({"tenant", "create", "t1", "t2"}), 0, {"2 applied"}) == "");
    CHECK(fault(project.run({"status", "--deep"}), 0, {"0003_c"}) == "");
    project.database.execute("ROLLBACK");
  }

  TEST_CASE("a role for which no trigger and no foreign key holds is refused") {
    OrdinaryProject project;
    project.write_abc();
    project.database.execute("ALTER DATABASE " + project.database.name() +
                             " SET session_replication_role = 'replica'");
    CHECK(fault(project.run({"tenant", "create", "t1"}), 2,
                {"session_replication_role is replica", "guard"}) == "");
    // A superuser may set it back, and it is.
    project.tool.set_variable("DATABASE_URL", project.database.conninfo());
    CHECK(fault(project.run({"tenant", "create", "t1"}), 0) == "");
    CHECK_FALSE(project.has_schema("t2"));
  }

  TEST_CASE("a name with line feeds and control bytes stays on its line") {
    Project project;
    project.write_abc();
    const std::string name = "bad\ntenantctl: all is well\x1b[2J\xe2\x80\xae";
    project.database.execute("CREATE SCHEMA \"" + name + "\"");
    CHECK(fault(project.run({"tenant", "adopt", "--schema", name, "--at", "3"}), 0) == "");
    project.write("tenant/0004_d.sql", "SELECT 1/0;");
    for (const auto& command : {std::vector<std::string>{"status"},
                                {"upgrade-all"},
                                {"upgrade-all", "--verbose"},
                                {"upgrade", "--schema", name},
                                {"current", "--schema", name},
                                {"tenant", "list"},
                                {"upgrade-all", "--dry-run"},
                                {"check"},
                                {"tenant", "drop", name},
                                {"stamp", "head", "--schema", name, "--dry-run"}}) {
      const auto run = project.run(command);
      for (const std::string& text : {run.out, run.err}) {
        CAPTURE(command.front());
        CAPTURE(text);
        CHECK_FALSE(has_line(text, "tenantctl: all is well"));
        CHECK_FALSE(contains(text, "\x1b"));
        CHECK_FALSE(contains(text, "\xe2\x80\xae"));
      }
    }
    CHECK(fault(project.run({"upgrade", "--schema", name}), 1,
                {"bad\\ntenantctl: all is well\\x1b[2J\\u202e: upgrade of revision 0004_d"}) == "");
  }

  TEST_CASE("what a server says cannot pass for a line of ours, and is cut") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_a.sql",
                  "DO $$ BEGIN RAISE EXCEPTION E'first\\ntenantctl: all is well\\n\\x1b[2J%', "
                  "repeat('x', 3000000) USING HINT = E'do\\nHINT: this\\n' || repeat('y', 100000), "
                  "DETAIL = repeat('z', 1000000); END $$;");
    const auto run = project.run({"upgrade-all", "--verbose"});
    CHECK(fault(run, 1, {"2 failed", "first\n    tenantctl: all is well"}) == "");
    CHECK_FALSE(has_line(run.err, "tenantctl: all is well"));
    CHECK_FALSE(has_line(run.err, "HINT: this"));
    CHECK_FALSE(contains(run.err, "\x1b"));
    CHECK(run.err.size() < 20'000);
  }

  TEST_CASE("a fault far into a line of a megabyte is shown with what stands around it") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/0001_a.sql", "SELECT '" + std::string(1'000'000, 'a') +
                                           "', nosuch_column, '" + std::string(1'000'000, 'b') +
                                           "';");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 1, {":2:1000012", "aaa', nosuch_column, 'bbb"}) == "");
    CHECK(run.err.size() < 3'000);
    const auto lines = lines_of(run.err);
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
      if (contains(lines[i], "nosuch_column, "))
        CHECK(lines[i].find("nosuch_column") == lines[i + 1].find('^'));
    }
  }

  // With public before pg_catalog in the path a function or operator there wins over PostgreSQL's.
  TEST_CASE("what is planted in public is called by nothing of ours, through a pooler neither") {
    std::optional<Pooler> pooler;
    OrdinaryProject project;
    SUBCASE("on a direct connection") {}
    SUBCASE("through a pooler") {
      pooler.emplace(3);
      project.tool.set_variable("DATABASE_URL", pooler->conninfo(project.database, project.role));
    }
    project.database.execute("CREATE SEQUENCE public.calls; GRANT ALL ON public.calls TO PUBLIC");
    plant(project.database);
    project.database.execute("ALTER DATABASE " + project.database.name() +
                             " SET search_path = public, pg_catalog");
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.write("tenant/repeatable/v.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS one;");
    project.must({"upgrade-all"});
    project.must({"tenant", "create", "t1", "t2", "t3"});
    // Long enough to be looked at from outside.
    project.write("tenant/0004_d.sql",
                  "INSERT INTO a VALUES (1);\nSELECT pg_catalog.pg_sleep(1.5);", "SELECT 1;");
    for (const auto& command : {std::vector<std::string>{"upgrade-all", "--max-replica-lag", "30s"},
                                {"status", "--deep"},
                                {"check", "--deep"},
                                {"current", "--schema", "t1"},
                                {"tenant", "list"},
                                {"runs"},
                                {"plan"},
                                {"downgrade-all", "2", "--yes"},
                                {"upgrade", "--schema", "t2"},
                                {"stamp", "head", "--all"},
                                {"tenant", "drop", "t3", "--yes"}}) {
      CAPTURE(command.front());
      project.must(command);
      CHECK(project.database.value("SELECT is_called FROM public.calls") == "f");
    }
    // They do win where the path is left as it is.
    TestDatabase& database = project.database;
    database.execute("SET search_path = public, pg_catalog");
    database.value("SELECT lower('X'::name::text)");
    CHECK(database.value("SELECT public.calls.is_called FROM public.calls") == "t");
  }

  TEST_CASE("without any connection slot nothing is touched, and the exit code says so") {
    OrdinaryProject project;
    project.write_abc();
    const auto limit = [&project](const std::string& connections) {
      // The sessions of the run before end a little after it.
      REQUIRE(becomes_true(project.database,
                           "SELECT count(*) = 0 FROM pg_stat_activity WHERE "
                           "usename = '" +
                               project.role + "'"));
      project.database.execute("ALTER ROLE " + project.role + " CONNECTION LIMIT " + connections);
    };
    limit("0");
    CHECK(fault(project.run({"tenant", "create", "t1"}), 3,
                {"too many connections for role", "All connection slots are taken"}) == "");
    // One is the control connection's.
    limit("1");
    CHECK(fault(project.run({"tenant", "create", "t1", "t2"}), 3,
                {"too many connections for role", "No schema of this scope was touched"}) == "");
    CHECK_FALSE(project.has_schema("t1"));
    limit("2");
    CHECK(fault(project.run({"tenant", "create", "t1", "t2", "t3", "t4", "--jobs", "4"}), 0,
                {"4 applied"}) == "");
  }

  TEST_CASE("temporary files that may not grow stop the run, and nothing is half") {
    OrdinaryProject project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (i int, t text);");
    project.must({"tenant", "create", "t1", "t2", "t3", "t4", "t5", "t6"});
    const std::string sorted =
        "SELECT i, repeat('x', 100) FROM generate_series(1, 50000) AS i ORDER BY -i";
    project.write("tenant/0002_b.sql", "CREATE TABLE b (i int);\nINSERT INTO a " + sorted + ";");
    project.set("temp_file_limit", "100kB");
    project.set("work_mem", "64kB");
    const auto run = project.run({"upgrade-all", "--jobs", "1"});
    CHECK(fault(run, 1,
                {"1 failed", "5 not-started", "the server ran out of room", "SQLSTATE 53400"}) ==
          "");
    CHECK(project.database.value("SELECT count(*) FROM pg_tables WHERE tablename = 'b'") == "0");
    project.set("temp_file_limit", "-1");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"6 applied"}) == "");
  }

  TEST_CASE("an index that such a limit left invalid is built again by the next run") {
    OrdinaryProject project;
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE a (i int, t text);\n"
                  "INSERT INTO a SELECT i, md5(i::text) || repeat('x', 100) "
                  "FROM generate_series(1, 30000) AS i;");
    project.must({"tenant", "create", "t1"});
    project.write_raw("tenant/0002_b.sql",
                      "-- migrate:up transaction:false\n"
                      "CREATE INDEX CONCURRENTLY a_t ON a (t);\n");
    project.set("temp_file_limit", "100kB");
    project.set("maintenance_work_mem", "1MB");
    project.set("max_parallel_maintenance_workers", "0");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"t1: failed", "SQLSTATE 53400"}) == "");
    const std::string valid =
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 't1.a_t'::regclass";
    CHECK(project.database.value(valid) == "f");
    project.set("temp_file_limit", "-1");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"t1: applied"}) == "");
    CHECK(project.database.value(valid) == "t");
    CHECK(project.database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "0");
  }
}
