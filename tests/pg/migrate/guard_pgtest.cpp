#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

bool exists(TestDatabase& database, const std::string& table) {
  return database.value(fmt::format("SELECT to_regclass('{}') IS NOT NULL", table)) == "t";
}

/// A schema at revision 1 whose revision 2 runs a text that nothing has checked.
struct Forged {
  TestDatabase& database;
  Session& session;

  Outcome run(const std::string& text, const std::string& schema) const {
    const RevisionFolder folder(
        Scope::tenant, {revision(1, "CREATE TABLE base (i int)"), revision(2, "SELECT 1")});
    Steps{session, folder, schema}.fresh("1");
    Plan plan = plan_upgrade(folder, session.history(schema), Target::head());
    Revision unchecked = revision(2, text);
    forge(plan, unchecked);
    return session.migrate(schema, plan);
  }
};

}  // namespace

TEST_SUITE("pg/migrate/guard") {
  TEST_CASE("a COMMIT that got past every check keeps nothing") {
    TestDatabase database;
    Session session(database);
    const Forged forged{database, session};
    int number = 0;
    for (const std::string text : {
             "CREATE TABLE kept (); COMMIT",
             "CREATE TABLE kept (); END",
             "CREATE TABLE kept (); COMMIT AND CHAIN",
             "CREATE TABLE kept (); COMMIT; BEGIN; CREATE TABLE more ()",
             "CREATE TABLE kept (); SET CONSTRAINTS ALL IMMEDIATE; COMMIT",
             "CREATE TABLE kept (); SET CONSTRAINTS ALL DEFERRED; COMMIT",
             "CREATE TABLE kept (); SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL IMMEDIATE; "
             "END",
             "CREATE TABLE kept (); SET CONSTRAINTS :\"schema\".tenantctl_guard IMMEDIATE; COMMIT",
             "CREATE TABLE kept (); SET session_replication_role = replica; COMMIT",
         }) {
      CAPTURE(text);
      const std::string schema = fmt::format("s{}", ++number);
      const Outcome outcome = forged.run(text, schema);
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.steps_done == 0);
      REQUIRE(outcome.failure);
      CHECK(outcome.failure->sqlstate == "23503");
      CHECK(outcome.failure->message.find("tried to commit") != std::string::npos);
      CHECK_FALSE(exists(database, schema + ".kept"));
      CHECK_FALSE(exists(database, schema + ".more"));
      CHECK(session.history(schema).size() == 1);
      CHECK(exists(database, schema + ".base"));
    }
  }

  TEST_CASE("a ROLLBACK that got past every check keeps nothing either") {
    TestDatabase database;
    Session session(database);
    const Forged forged{database, session};
    int number = 0;
    for (const char* text :
         {"ROLLBACK; CREATE TABLE kept ()", "ABORT", "ROLLBACK AND CHAIN; CREATE TABLE kept ()",
          "ROLLBACK; BEGIN; CREATE TABLE kept ()", "SAVEPOINT a; CREATE TABLE kept (); ROLLBACK"}) {
      CAPTURE(text);
      const std::string schema = fmt::format("s{}", ++number);
      const Outcome outcome = forged.run(text, schema);
      CHECK(outcome.verdict == Verdict::failed);
      CHECK_FALSE(exists(database, schema + ".kept"));
      CHECK(session.history(schema).size() == 1);
    }
  }

  TEST_CASE("COMMIT hidden from the first tokens fails and keeps nothing") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE PROCEDURE public.commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';"
        "CREATE FUNCTION public.executes() RETURNS void LANGUAGE plpgsql AS "
        "$$BEGIN EXECUTE 'COMMIT'; END$$");
    int number = 0;
    for (const char* text :
         {"CREATE TABLE kept (); DO $$BEGIN COMMIT; END$$",
          "CREATE TABLE kept (); DO $$BEGIN EXECUTE 'COMMIT'; END$$",
          "CREATE TABLE kept (); DO $$BEGIN EXECUTE 'commit and chain'; END$$",
          "CREATE TABLE kept (); CALL public.commits()",
          "CREATE TABLE kept (); SELECT public.executes()",
          "CREATE TABLE kept (); PREPARE p AS SELECT 1; /* x */ EXECUTE p; DO 'BEGIN ROLLBACK; "
          "END'"}) {
      CAPTURE(text);
      const std::string schema = fmt::format("s{}", ++number);
      const RevisionFolder folder(Scope::tenant, {revision(1, "SELECT 1"), revision(2, text)});
      const Outcome outcome = Steps{session, folder, schema}.fresh();
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.steps_done == 1);
      CHECK_FALSE(exists(database, schema + ".kept"));
      CHECK(session.history(schema).size() == 1);
    }
  }

  TEST_CASE("a downgrade's COMMIT keeps nothing") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant,
                                {revision(1, "CREATE TABLE a (i int)", "DROP TABLE a")});
    Steps{session, folder}.fresh();
    Plan plan = plan_downgrade(folder, session.history("one"), Target::parse("base"));
    Revision unchecked = revision(1, "CREATE TABLE a (i int)", "DROP TABLE a; COMMIT");
    forge(plan, unchecked);
    CHECK(session.migrate("one", plan).verdict == Verdict::failed);
    CHECK(exists(database, "one.a"));
    CHECK(session.history("one").size() == 1);
  }

  TEST_CASE("SET CONSTRAINTS ALL is legal beside the revision's own deferred constraints") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1,
                  "CREATE TABLE p (i int PRIMARY KEY);"
                  "CREATE TABLE c (i int CONSTRAINT own REFERENCES p DEFERRABLE INITIALLY "
                  "DEFERRED);"
                  "INSERT INTO c VALUES (1);"
                  "INSERT INTO p VALUES (1);"
                  "SET CONSTRAINTS ALL IMMEDIATE;"
                  "ALTER TABLE c ADD COLUMN j int;"
                  "SET CONSTRAINTS ALL DEFERRED;"
                  "SET CONSTRAINTS own IMMEDIATE;"
                  "INSERT INTO c VALUES (1, 2)",
                  "SET CONSTRAINTS ALL IMMEDIATE; DROP TABLE c; DROP TABLE p"),
         revision(2, "SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED")});
    const Steps one{session, folder};
    CHECK(one.fresh().verdict == Verdict::done);
    CHECK(database.value("SELECT count(*) FROM one.c") == "2");
    CHECK(one.downgrade("base").verdict == Verdict::done);
    CHECK_FALSE(exists(database, "one.p"));
  }

  TEST_CASE("SET CONSTRAINTS ALL IMMEDIATE finds the revision's own violation") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant, {revision(1,
                                 "CREATE TABLE p (i int PRIMARY KEY);\nCREATE TABLE c (i int "
                                 "CONSTRAINT own REFERENCES p DEFERRABLE INITIALLY DEFERRED);\n"
                                 "INSERT INTO c VALUES (1);\nSET CONSTRAINTS ALL IMMEDIATE")});
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.failure->message.find("own") != std::string::npos);
    CHECK(outcome.failure->place->line == 5);
  }

  // The guard is lifted and set again as the session's own role; that one may not write it.
  TEST_CASE("SET CONSTRAINTS ALL is legal under another role, which the revision keeps") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    int number = 0;
    for (const char* take : {"SET LOCAL ROLE {0}", "SET ROLE {0}", "SET SESSION AUTHORIZATION {0}",
                             "SET LOCAL SESSION AUTHORIZATION {0}"}) {
      CAPTURE(take);
      const std::string schema = fmt::format("s{}", ++number);
      const RevisionFolder folder(
          Scope::tenant,
          {revision(1,
                    fmt::format("CREATE TABLE seen (who text); GRANT ALL ON seen TO {0};"
                                "GRANT USAGE ON SCHEMA {1} TO {0};",
                                role, schema) +
                        fmt::format(fmt::runtime(take), role) +
                        "; SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO seen VALUES (CURRENT_USER);"
                        "SET CONSTRAINTS ALL DEFERRED; INSERT INTO seen VALUES (CURRENT_USER);"),
           revision(2, "INSERT INTO seen VALUES (CURRENT_USER)")});
      const Outcome outcome = Steps{session, folder, schema}.fresh();
      CHECK_MESSAGE(outcome.verdict == Verdict::done,
                    (outcome.failure ? outcome.failure->message : ""));
      CHECK(database.value(fmt::format("SELECT string_agg(who, ',') FROM {}.seen", schema)) ==
            fmt::format("{0},{0},{1}", role, database.value("SELECT CURRENT_USER")));
    }
  }

  TEST_CASE("under another role a COMMIT behind SET CONSTRAINTS keeps nothing either") {
    TestDatabase database;
    Session session(database);
    const Outcome outcome =
        Forged{database, session}.run("CREATE TABLE kept (); SET ROLE " + database.second_role() +
                                          "; SET CONSTRAINTS ALL IMMEDIATE; RESET ROLE; COMMIT",
                                      "one");
    CHECK(outcome.failure->sqlstate == "23503");
    CHECK_FALSE(exists(database, "one.kept"));
  }

  TEST_CASE("a deferred constraint that is violated at COMMIT keeps nothing and is named") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1,
                  "CREATE TABLE p (i int PRIMARY KEY); CREATE TABLE c (i int CONSTRAINT own "
                  "REFERENCES p DEFERRABLE INITIALLY DEFERRED)"),
         revision(2, "INSERT INTO c VALUES (7)"), revision(3, "CREATE TABLE later ()")});
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 1);
    CHECK(outcome.failure->sqlstate == "23503");
    CHECK(outcome.failure->revision == "0002_r2");
    CHECK(outcome.failure->message.find("own") != std::string::npos);
    REQUIRE(outcome.failure->place);
    CHECK(outcome.failure->place->file == "versions/0002_r2.sql");
    CHECK(database.value("SELECT count(*) FROM one.c") == "0");
    CHECK_FALSE(exists(database, "one.later"));
    CHECK(session.history("one").size() == 1);
  }

  TEST_CASE("a revision that takes its own version row away fails") {
    TestDatabase database;
    Session session(database);
    int number = 0;
    for (const char* text : {"DELETE FROM tenantctl_version", "TRUNCATE tenantctl_version",
                             "UPDATE tenantctl_version SET guard = NULL",
                             "DROP TABLE tenantctl_version", "DROP SCHEMA :\"schema\" CASCADE"}) {
      CAPTURE(text);
      const std::string schema = fmt::format("s{}", ++number);
      const RevisionFolder folder(Scope::tenant, {revision(1, "SELECT 1"), revision(2, text)});
      const Outcome outcome = Steps{session, folder, schema}.fresh();
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.steps_done == 1);
      CHECK(session.history(schema).size() == 1);
    }
  }

  TEST_CASE("a revision that changes the version table is refused and nothing of it is kept") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    int number = 0;
    const std::string each_table =
        "DO $$DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = "
        "current_schema() LOOP EXECUTE format('{}', t); END LOOP; END$$";
    for (const std::string& text : std::vector<std::string>{
             "UPDATE tenantctl_version SET digest = 'x'",
             "UPDATE tenantctl_version SET name = 'x' WHERE position = 1",
             "UPDATE tenantctl_version SET checksum = 'x' WHERE position = 2",
             "UPDATE tenantctl_version SET state = 'needs-decision' WHERE position = 2",
             "UPDATE TENANTCTL_VERSION SET run_id = NULL WHERE position = 1",
             "UPDATE U&\"tenantctl\\005fversion\" SET name = 'x' WHERE position = 1",
             "DELETE FROM tenantctl_version WHERE position = 1",
             "INSERT INTO tenantctl_version SELECT 7, 7, name, checksum, digest, state, NULL, xid, "
             "origin FROM tenantctl_version WHERE position = 1",
             "DO $$BEGIN BEGIN UPDATE tenantctl_version SET name = 'x' WHERE position = 1; "
             "EXCEPTION WHEN division_by_zero THEN NULL; END; END$$",
             "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
             "CREATE TRIGGER t BEFORE INSERT ON tenantctl_version FOR EACH ROW EXECUTE FUNCTION "
             "f()",
             "CREATE RULE r AS ON INSERT TO tenantctl_version DO ALSO NOTHING",
             "CREATE RULE r AS ON UPDATE TO tenantctl_version DO INSTEAD NOTHING",
             "ALTER TABLE tenantctl_version ENABLE ROW LEVEL SECURITY",
             "ALTER TABLE tenantctl_version OWNER TO " + role,
             "ALTER SCHEMA :\"schema\" OWNER TO " + role,
             "ALTER TABLE tenantctl_version SET UNLOGGED",
             "ALTER TABLE tenantctl_version RENAME TO other",
             "ALTER TABLE tenantctl_version RENAME COLUMN digest TO sum",
             "ALTER SCHEMA :\"schema\" RENAME TO elsewhere",
             "CREATE TABLE child () INHERITS (tenantctl_version)",
             "ALTER TABLE tenantctl_version DROP CONSTRAINT tenantctl_guard; DROP TABLE "
             "tenantctl_version; CREATE TABLE tenantctl_version AS SELECT 1 AS position",
             fmt::format(fmt::runtime(each_table), "ALTER TABLE %I ENABLE ROW LEVEL SECURITY"),
             fmt::format(fmt::runtime(each_table), "ALTER TABLE %I OWNER TO " + role),
             fmt::format(fmt::runtime(each_table), "TRUNCATE %I")}) {
      CAPTURE(text);
      const std::string schema = fmt::format("s{}", ++number);
      const RevisionFolder folder(Scope::tenant,
                                  {revision(1, "CREATE TABLE base ()"), revision(2, text + ";")});
      const Steps one{session, folder, schema};
      const Outcome outcome = one.fresh();
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.steps_done == 1);
      REQUIRE(outcome.failure);
      CAPTURE(outcome.failure->message);
      CHECK(outcome.failure->place);
      CHECK(is_same(session.history(schema), history_of(folder, 1)));
      // Nor does it stand in the way of what comes next.
      const RevisionFolder mended(Scope::tenant, {revision(1, "CREATE TABLE base ()"),
                                                  revision(2, "CREATE TABLE later ()")});
      CHECK(Steps{session, mended, schema}.upgrade().verdict == Verdict::done);
    }
  }

  TEST_CASE("a revision may look at the version table, grant on it and say what it is") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1, "CREATE TABLE a ()"),
         revision(2,
                  "CREATE VIEW v AS SELECT * FROM tenantctl_version; GRANT SELECT ON "
                  "tenantctl_version TO " +
                      role + "; COMMENT ON TABLE tenantctl_version IS 'ours'",
                  "SELECT count(*) FROM tenantctl_version; DROP VIEW v"),
         revision(3, "DO $$BEGIN PERFORM 1; END$$", "DO $$BEGIN PERFORM 1; END$$")});
    const Steps one{session, folder};
    CHECK(one.fresh().verdict == Verdict::done);
    CHECK(database.value("SELECT obj_description('one.tenantctl_version'::regclass)") ==
          Mark::of(Scope::tenant, history_of(folder, 3)).text());
    CHECK(one.downgrade("1").verdict == Verdict::done);
    CHECK(one.upgrade().verdict == Verdict::done);
  }

  TEST_CASE("what a revision sets disturbs neither its bookkeeping nor the next schema") {
    TestDatabase database;
    Session session(database);
    const std::string role = database.second_role();
    int number = 0;
    for (const std::string& text : std::vector<std::string>{
             "SET search_path = public",
             "SET LOCAL search_path = pg_temp, public",
             "SELECT set_config('search_path', '', false)",
             "SET ROLE " + role,
             "SET LOCAL ROLE " + role,
             "SET SESSION AUTHORIZATION " + role,
             "SET LOCAL SESSION AUTHORIZATION " + role,
             "CREATE TEMP TABLE tenantctl_version (LIKE :\"schema\".tenantctl_version)",
             "CREATE TEMP TABLE kept (i int)",
             "SET standard_conforming_strings = off",
             "SET backslash_quote = off; SET escape_string_warning = off",
             "SET session_replication_role = replica",
             "SET row_security = off",
             "SET default_transaction_read_only = on",
             "SET default_transaction_isolation = 'serializable'",
             "SET datestyle = 'German'",
             "SET quote_all_identifiers = on",
             "SET client_min_messages = debug5",
             "DO $$BEGIN PERFORM set_config('role', '" + role + "', false); END$$",
             "SET intervalstyle = 'iso_8601'",
             "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS text LANGUAGE sql AS 'SELECT 1'",
             "LISTEN x; SELECT pg_advisory_lock(1, 2); PREPARE p AS SELECT 1"}) {
      CAPTURE(text);
      const RevisionFolder folder(
          Scope::tenant,
          {revision(1, text), revision(2,
                                       "CREATE TABLE kept (i int); INSERT INTO kept VALUES "
                                       "(1)")});
      for (const char* which : {"é", "b"}) {
        const std::string schema = fmt::format("s{}{}", number, which);
        const Outcome outcome = Steps{session, folder, schema}.fresh();
        CHECK_MESSAGE(outcome.verdict == Verdict::done,
                      (outcome.failure ? outcome.failure->message : ""));
        CHECK(database.value(fmt::format("SELECT count(*) FROM \"{0}\".kept", schema)) == "1");
        CHECK(is_same(session.history(schema), history_of(folder, 2)));
      }
      ++number;
    }
  }

  TEST_CASE("another client encoding does not keep a revision from being recorded") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant, {revision(1, "SET client_encoding = 'LATIN1'")});
    CHECK(Steps{session, folder, "é"}.fresh().verdict == Verdict::done);
  }
}
