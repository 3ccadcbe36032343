#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

using Rows = std::vector<std::vector<std::string>>;

Revision base() {
  return revision(1, "CREATE TABLE t (a int, b int); CREATE TABLE log (what text)",
                  "DROP TABLE t; DROP TABLE log");
}

RevisionFolder with(const std::string& up, const std::string& down = {}) {
  return {Scope::tenant, {base(), autocommit_revision(2, up, down)}};
}

std::string mark(TestDatabase& database) {
  return database.value("SELECT obj_description('one.tenantctl_version'::regclass)");
}

std::string log(TestDatabase& database) {
  return database.value("SELECT coalesce(string_agg(what, ',' ORDER BY what), '') FROM one.log");
}

Rows progress(TestDatabase& database) {
  return database.rows(
      "SELECT state, statement, sqlstate FROM one.tenantctl_version WHERE position = 2");
}

const std::string first = "INSERT INTO log VALUES ('1');\n";
const std::string second = "INSERT INTO log VALUES ('2');\n";
const std::string third = "INSERT INTO log VALUES ('3');\n";

}  // namespace

TEST_SUITE("pg/migrate/autocommit") {
  TEST_CASE("statements that refuse a transaction run, each alone, between ordinary revisions") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {base(),
         autocommit_revision(2,
                             "CREATE INDEX CONCURRENTLY ia ON t (a);\n"
                             "CREATE INDEX CONCURRENTLY ib ON t (b);\nVACUUM t",
                             "DROP INDEX CONCURRENTLY ia; DROP INDEX CONCURRENTLY ib"),
         revision(3, "ALTER TABLE t ADD COLUMN c int", "ALTER TABLE t DROP COLUMN c")});
    const Steps one{session, folder};
    const Outcome outcome = one.fresh();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 3);
    CHECK(is_same(session.history("one"), history_of(folder, 3)));
    CHECK(mark(database) == Mark::of(Scope::tenant, history_of(folder, 3)).text());
    CHECK(progress(database) == Rows{{"applied", "", ""}});
    CHECK(database.value("SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = "
                         "'one.t'::regclass") == "2");
    CHECK(one.downgrade("1").verdict == Verdict::done);
    CHECK(is_same(session.history("one"), history_of(folder, 1)));
    CHECK(mark(database) == Mark::of(Scope::tenant, history_of(folder, 1)).text());
    CHECK(database.value("SELECT to_regclass('one.ia') IS NULL") == "t");
  }

  TEST_CASE("it may be the first revision of a new schema") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {autocommit_revision(1, "CREATE TABLE t (a int); VACUUM t", "DROP TABLE t")});
    const Steps one{session, folder};
    CHECK(one.fresh().verdict == Verdict::done);
    CHECK(is_same(session.history("one"), history_of(folder, 1)));
    CHECK(one.downgrade("base").verdict == Verdict::done);
    CHECK(session.history("one").empty());
    CHECK(one.upgrade().verdict == Verdict::done);
  }

  TEST_CASE("a failure in the middle leaves the row running and says how far it came") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = with(first + "SELECT nonsense;\n" + third);
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 1);
    CHECK(outcome.failure->place->line == 3);
    CHECK(progress(database) == Rows{{"running", "up:1", "42703"}});
    CHECK(mark(database).find("head=1 count=1") != std::string::npos);
    CHECK(mark(database).find("running=2") != std::string::npos);
    CHECK(log(database) == "1");
    CHECK(database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
  }

  TEST_CASE("resuming goes on behind the last confirmed statement") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder broken = with(first + second + "SELECT nonsense;\n" + third);
    Steps{session, broken}.fresh();
    const Outcome again = Steps{session, broken}.upgrade();
    CHECK(again.verdict == Verdict::failed);
    CHECK(log(database) == "1,2");
    const RevisionFolder mended = with(first + second + third);
    const Outcome outcome = Steps{session, mended}.upgrade();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 1);
    CHECK(log(database) == "1,2,3");
    CHECK(is_same(session.history("one"), history_of(mended, 2)));
    CHECK(mark(database) == Mark::of(Scope::tenant, history_of(mended, 2)).text());
    CHECK(progress(database) == Rows{{"applied", "", ""}});
  }

  TEST_CASE("what was mended may shrink to what was confirmed, and more revisions may follow") {
    TestDatabase database;
    Session session(database);
    Steps{session, with(first + second + "SELECT nonsense")}.fresh();
    const RevisionFolder mended(
        Scope::tenant, {base(), autocommit_revision(2, first + second),
                        revision(3, "CREATE TABLE later ()"), autocommit_revision(4, third)});
    CHECK(Steps{session, mended}.upgrade().steps_done == 3);
    CHECK(log(database) == "1,2,3");
    CHECK(is_same(session.history("one"), history_of(mended, 4)));
  }

  TEST_CASE("an edited finished statement is refused, a downgrade and an accept as well") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder broken = with(first + "SELECT nonsense", "SELECT 1");
    Steps{session, broken}.fresh();
    for (const RevisionFolder& edited : {with(second + "SELECT nonsense"), with("SELECT nonsense"),
                                         RevisionFolder(Scope::tenant, {base()})}) {
      CHECK_THROWS_AS((Steps{session, edited}.upgrade()), HistoryError);
    }
    CHECK_THROWS_AS((Steps{session, broken}.downgrade("base")), HistoryError);
    CHECK_THROWS_AS(plan_accept(broken, session.history("one"), broken.revisions().back()),
                    HistoryError);
    CHECK(log(database) == "1");
  }

  TEST_CASE("a stamp ends what stopped half-way") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = with(first + "SELECT nonsense");
    Steps{session, folder}.fresh();
    for (const char* target : {"1", "head"}) {
      const Plan plan = plan_stamp(folder, session.history("one"), Target::parse(target));
      CHECK(session.migrate("one", plan).verdict == Verdict::done);
      CHECK(mark(database).find("running") == std::string::npos);
    }
    CHECK(is_same(session.history("one"), history_of(folder, 2)));
  }

  TEST_CASE("a downgrade that fails in the middle goes on when it is mended") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder broken =
        with(first, "INSERT INTO log VALUES ('d1'); SELECT nonsense; DELETE FROM log");
    Steps{session, broken}.fresh();
    CHECK(Steps{session, broken}.downgrade("1").verdict == Verdict::failed);
    CHECK(progress(database) == Rows{{"running", "down:1", "42703"}});
    CHECK(mark(database).find("head=1 count=1") != std::string::npos);
    CHECK(mark(database).find("running=2") != std::string::npos);
    CHECK_THROWS_AS((Steps{session, broken}.upgrade()), HistoryError);
    const RevisionFolder mended =
        with(first, "INSERT INTO log VALUES ('d1'); INSERT INTO log VALUES ('d2')");
    CHECK(Steps{session, mended}.downgrade("base").steps_done == 2);
    CHECK(session.history("one").empty());
    CHECK(database.value("SELECT to_regclass('one.log') IS NULL") == "t");
  }

  TEST_CASE("a process that died at a statement leaves a question that a person answers") {
    const RevisionFolder folder = with(first + second + third);
    for (const bool applied : {false, true}) {
      CAPTURE(applied);
      TestDatabase database;
      {
        Session session(database);
        Steps{session, folder}.fresh("1");
        const Plan plan = plan_upgrade(folder, session.history("one"), Target::head());
        // lock, start, statement, progress, statement
        CHECK(session.migrate("one", plan, {}, 5).verdict == Verdict::open);
      }
      CHECK(log(database) == "1,2");
      CHECK(progress(database) == Rows{{"running", "up:1", ""}});
      Session session(database);
      CHECK_THROWS_AS((Steps{session, folder}.upgrade()), HistoryError);
      const Plan answer =
          plan_resolve(folder, session.history("one"), folder.revisions().back(), applied);
      CHECK(session.migrate("one", answer).verdict == Verdict::done);
      CHECK(mark(database).find("running") == std::string::npos);
      CHECK(session.history("one").size() == (applied ? 2 : 1));
      CHECK(Steps{session, folder}.upgrade().verdict == Verdict::done);
      CHECK(is_same(session.history("one"), history_of(folder, 2)));
      CHECK(log(database) == (applied ? "1,2" : "1,1,2,2,3"));
    }
  }

  TEST_CASE("a process that died at what can be looked up goes on by itself") {
    TestDatabase database;
    const RevisionFolder folder = with(first + "CREATE INDEX CONCURRENTLY i ON t (a);\n" + second);
    {
      Session session(database);
      Steps{session, folder}.fresh("1");
      const Plan plan = plan_upgrade(folder, session.history("one"), Target::head());
      session.migrate("one", plan, {}, 5);
    }
    Session session(database);
    CHECK(Steps{session, folder}.upgrade().verdict == Verdict::done);
    CHECK(log(database) == "1,2");
    CHECK(database.value("SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = "
                         "'one.t'::regclass") == "1");
  }

  TEST_CASE("a statement whose deferred constraint fails is not taken for done") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1,
                  "CREATE TABLE p (i int PRIMARY KEY); CREATE TABLE c (i int CONSTRAINT own "
                  "REFERENCES p DEFERRABLE INITIALLY DEFERRED)"),
         autocommit_revision(2, "INSERT INTO c VALUES (7);\nINSERT INTO p VALUES (7)")});
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(database.value("SELECT count(*) FROM one.c") == "0");
    CHECK(outcome.verdict == Verdict::failed);
    REQUIRE(outcome.failure);
    CHECK(outcome.failure->sqlstate == "23503");
    CHECK(outcome.failure->place->line == 2);
    CHECK(progress(database) == Rows{{"running", "up:0", "23503"}});
  }

  TEST_CASE("its settings hold for its own statements and not for the next schema") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {autocommit_revision(1,
                             "SET search_path = public; CREATE TEMP TABLE x (); "
                             "CREATE TABLE IF NOT EXISTS in_public ()"),
         autocommit_revision(2, "CREATE TABLE x ()"), revision(3, "CREATE TABLE y ()")});
    CHECK(Steps{session, folder, "one"}.fresh().verdict == Verdict::done);
    CHECK(Steps{session, folder, "two"}.fresh().verdict == Verdict::done);
    CHECK(
        database.value(
            "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename) "
            "FROM pg_tables WHERE tablename IN ('in_public', 'x', 'y')") ==
        "one.x one.y public.in_public two.x two.y");
  }

  TEST_CASE("what an interrupted REINDEX left behind is dropped, and nothing else") {
    for (const std::string reindex :
         {"REINDEX INDEX CONCURRENTLY i", "REINDEX TABLE CONCURRENTLY t",
          "REINDEX (CONCURRENTLY) TABLE t"}) {
      CAPTURE(reindex);
      TestDatabase database;
      Session session(database);
      if (reindex[8] == '(' && session.connection().server_version() < 140000)
        continue;  // the syntax is newer
      const RevisionFolder folder(
          Scope::tenant,
          {revision(1,
                    "CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE TABLE p (a int) "
                    "PARTITION BY RANGE (a); CREATE TABLE q PARTITION OF p DEFAULT; "
                    "CREATE INDEX p_ccnew ON ONLY p (a); CREATE TABLE u (a int); "
                    "CREATE INDEX other_ccnew ON u (a)"),
           autocommit_revision(2, reindex)});
      const Steps one{session, folder};
      one.fresh("1");
      // A reader keeps REINDEX waiting until its lock timeout, with i_ccnew half-built.
      Session reader(database);
      reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ");
      reader.execute("SELECT count(*) FROM one.t");
      Steps hurried{session, folder};
      hurried.options.concurrent_lock_timeout = std::chrono::milliseconds(300);
      const Outcome outcome = hurried.upgrade();
      CHECK(outcome.verdict != Verdict::done);
      const std::string left =
          "SELECT coalesce(string_agg(c.relname, ' ' ORDER BY c.relname), '') FROM pg_index i JOIN "
          "pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid";
      CHECK(database.value(left) == "i_ccnew p_ccnew");
      reader.execute("ROLLBACK");
      CHECK(one.upgrade().verdict == Verdict::done);
      CHECK(database.value(left) == "p_ccnew");
      CHECK(database.value("SELECT to_regclass('one.other_ccnew') IS NOT NULL") == "t");
      CHECK(is_same(session.history("one"), history_of(folder, 2)));
    }
  }

  TEST_CASE("what an interrupted revision had set is set again when it goes on") {
    TestDatabase database;
    Session session(database);
    const std::string set = "SET work_mem = '7MB';\nSET datestyle = 'German';\nRESET datestyle;\n";
    const std::string look =
        "INSERT INTO log VALUES (current_setting('work_mem') || ' ' || "
        "(current_setting('datestyle') LIKE 'German%'))";
    Steps{session, with(set + first + "SELECT nonsense")}.fresh();
    CHECK(progress(database) == Rows{{"running", "up:4", "42703"}});
    CHECK(Steps{session, with(set + first + look)}.upgrade().verdict == Verdict::done);
    CHECK(log(database) == "1,7MB false");
  }

  TEST_CASE("an enum value that an interrupted run has added already is no failure") {
    TestDatabase database;
    const RevisionFolder folder(
        Scope::tenant, {revision(1, "CREATE TYPE e AS ENUM ('a'); CREATE TABLE log (what text)"),
                        autocommit_revision(2, "ALTER TYPE e ADD VALUE 'b';\n" + first)});
    {
      Session session(database);
      Steps{session, folder}.fresh("1");
      const Plan plan = plan_upgrade(folder, session.history("one"), Target::head());
      session.migrate("one", plan, {}, 3);  // lock, start, statement
    }
    CHECK(progress(database) == Rows{{"running", "up:0", ""}});
    Session session(database);
    CHECK(Steps{session, folder}.upgrade().verdict == Verdict::done);
    CHECK(log(database) == "1");
  }

  TEST_CASE("an enum value that was there before the revision is a failure") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant,
                                {revision(1, "CREATE TYPE e AS ENUM ('a')"),
                                 autocommit_revision(2, "ALTER TYPE e ADD VALUE 'a'")});
    CHECK(Steps{session, folder}.fresh().failure->sqlstate == "42710");
    CHECK(Steps{session, folder}.upgrade().failure->sqlstate == "42710");
  }

  TEST_CASE("in a new schema an index is built plainly, in one transaction with the rest") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {base(), autocommit_revision(2, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"),
         autocommit_revision(3, "CREATE INDEX CONCURRENTLY j ON t (b);\nDROP INDEX CONCURRENTLY i"),
         revision(4, "INSERT INTO log VALUES ('4')")});
    const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::schema});
    for (const Step& step : plan.steps)
      CHECK(step.in_transaction());
    // One segment, which would fail if CONCURRENTLY were sent.
    CHECK(session.migrate("one", plan, {}, 1).verdict == Verdict::done);
    CHECK(is_same(session.history("one"), history_of(folder, 4)));
    CHECK(database.value("SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE "
                         "indisvalid AND indrelid = 'one.t'::regclass") == "one.j");
    // A schema that was there before may be in use.
    database.execute("CREATE SCHEMA two");
    const Plan later = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::table});
    CHECK_FALSE(later.steps[1].in_transaction());
    CHECK(session.migrate("two", later).verdict == Verdict::done);
  }

  // The row would be written as that role.
  TEST_CASE("a role taken outside a transaction is refused before anything runs") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder =
        with("SET ROLE " + database.second_role() + ";\nRESET ROLE;\n" + first);
    CHECK_THROWS_AS((Steps{session, folder}.fresh()), UsageError);
    CHECK(database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'one'") == "0");
  }

  TEST_CASE("a lost session lock is noticed by the next run, not by doing things twice") {
    TestDatabase database;
    const RevisionFolder folder = with(first + second);
    Session one(database);
    Steps{one, folder}.fresh("1");
    const Plan plan = plan_upgrade(folder, one.history("one"), Target::head());
    const SchemaName name = SchemaName::existing("one");
    const MigrateOptions options;
    Migrator migrator(name, plan, options);
    const auto step = [&](Session& session) {
      auto segment = migrator.next();
      REQUIRE(segment);
      migrator.fold(session.send(std::move(segment->messages)));
    };
    step(one);
    step(one);
    Session two(database);
    CHECK(two.migrate("one", plan).verdict == Verdict::busy);
    CHECK(log(database).empty());
  }
}
