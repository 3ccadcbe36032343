#include "migrate/migrator.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

RevisionFolder three() {
  return {Scope::tenant,
          {revision(1, "CREATE TABLE a (i int);", "DROP TABLE a;"),
           revision(2, "CREATE TABLE b (i int);\nINSERT INTO b VALUES (1);", "DROP TABLE b;"),
           revision(3, "CREATE TABLE c (i int);", "DROP TABLE c;")}};
}

std::string tables(TestDatabase& database, const std::string& schema = "one") {
  return database.value(
      "SELECT coalesce(string_agg(tablename, ',' ORDER BY tablename), '') FROM "
      "pg_tables WHERE tablename <> 'tenantctl_version' AND schemaname = " +
      quote_literal(schema));
}

Mark mark_of(TestDatabase& database, const std::string& schema = "one") {
  const auto mark = Mark::parse(database.value(
      fmt::format("SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c JOIN "
                  "pg_namespace n ON n.oid = relnamespace WHERE relname = 'tenantctl_version' AND "
                  "nspname = {}",
                  quote_literal(schema))));
  REQUIRE(mark);
  return *mark;
}

}  // namespace

TEST_SUITE("pg/migrate/migrator") {
  TEST_CASE("a fresh schema gets its version table and every revision") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = three();
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 3);
    CHECK(tables(database) == "a,b,c");
    const History history = session.history("one");
    REQUIRE(history.size() == 3);
    CHECK_NOTHROW(check_chain(history));
    CHECK(is_same(history, history_of(folder, 3)));
    CHECK(mark_of(database) == Mark::of(Scope::tenant, history));
    CHECK(outcome.mark == mark_of(database));
    CHECK(database.value("SELECT count(*) FROM one.tenantctl_version WHERE state = 'applied' AND "
                         "guard IS NULL AND duration IS NOT NULL AND origin = 'run' AND "
                         "applied_by = session_user") == "3");
  }

  TEST_CASE("a schema is upgraded to a target and further, and nothing twice") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = three();
    const Steps one{session, folder};
    CHECK(one.fresh("1").verdict == Verdict::done);
    CHECK(tables(database) == "a");
    CHECK(one.upgrade("+1").steps_done == 1);
    CHECK(tables(database) == "a,b");
    CHECK(one.upgrade().steps_done == 1);
    CHECK(tables(database) == "a,b,c");
    CHECK(one.upgrade().steps_done == 0);
    CHECK(database.value("SELECT count(*) FROM one.b") == "1");
  }

  TEST_CASE("a downgrade takes back the newest first and forgets each with its SQL") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = three();
    const Steps one{session, folder};
    one.fresh();
    const Outcome back = one.downgrade("1");
    CHECK(back.verdict == Verdict::done);
    CHECK(back.steps_done == 2);
    CHECK(tables(database) == "a");
    CHECK(mark_of(database) == Mark::of(Scope::tenant, history_of(folder, 1)));
    CHECK(one.downgrade("base").verdict == Verdict::done);
    CHECK(tables(database).empty());
    CHECK(mark_of(database).text().find("digest=base") != std::string::npos);
    CHECK(session.history("one").empty());
    CHECK(one.upgrade().steps_done == 3);
  }

  TEST_CASE("each revision commits with its row and mark, the failing one keeps nothing") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder broken(
        Scope::tenant,
        {revision(1, "CREATE TABLE a (i int)"), revision(2, "CREATE TABLE b (i int)"),
         revision(3, "CREATE TABLE c (i int); SELECT 1/0; CREATE TABLE d (i int)"),
         revision(4, "CREATE TABLE e (i int)")});
    const Outcome outcome = Steps{session, broken}.fresh();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 2);
    CHECK(outcome.failure->sqlstate == "22012");
    CHECK(outcome.failure->revision == "0003_r3");
    CHECK(tables(database) == "a,b");
    CHECK(mark_of(database).head == 2);
    CHECK(outcome.mark == mark_of(database));
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1, "CREATE TABLE a (i int)"), revision(2, "CREATE TABLE b (i int)"),
         revision(3, "CREATE TABLE c (i int)"), revision(4, "CREATE TABLE e ()")});
    CHECK(Steps{session, folder}.upgrade().steps_done == 2);
    CHECK(tables(database) == "a,b,c,e");
  }

  TEST_CASE("a first revision that fails leaves no schema and no version table behind") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant, {revision(1, "CREATE TABLE a (); SELECT 1/0")});
    CHECK(Steps{session, folder}.fresh().verdict == Verdict::failed);
    CHECK(database.value("SELECT to_regnamespace('one') IS NULL") == "t");
  }

  TEST_CASE("a schema that is there without a version table gets only that") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE SCHEMA one; CREATE TABLE one.old ()");
    const RevisionFolder folder = three();
    const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::table});
    CHECK(session.migrate("one", plan).verdict == Verdict::done);
    CHECK(tables(database) == "a,b,c,old");
    const RevisionFolder empty(Scope::tenant, {});
    database.execute("CREATE SCHEMA two");
    const Plan only = plan_upgrade(empty, {}, Target::head(), {.missing = Missing::table});
    CHECK(session.migrate("two", only).verdict == Verdict::done);
    CHECK(mark_of(database, "two") == Mark{});
  }

  TEST_CASE("more revisions than one segment holds arrive in several") {
    TestDatabase database;
    Session session(database);
    std::vector<Revision> revisions;
    for (int i = 1; i <= 250; ++i)
      revisions.push_back(revision(i, fmt::format("CREATE TABLE t{} ()", i)));
    const RevisionFolder folder(Scope::tenant, revisions);
    CHECK(Steps{session, folder}.fresh().steps_done == 250);
    CHECK(is_same(session.history("one"), history_of(folder, 250)));
  }

  TEST_CASE("a plan made for another place is refused, none of it run") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = three();
    const Steps one{session, folder};
    one.fresh("1");
    const Plan stale = plan_upgrade(folder, history_of(folder, 1), Target::head());
    one.upgrade("2");
    const Outcome outcome = session.migrate("one", stale);
    CHECK(outcome.verdict == Verdict::moved);
    CHECK(outcome.steps_done == 0);
    CHECK(tables(database) == "a,b");
  }

  TEST_CASE(
      "unqualified names reach the tenant first, the shared schema and the extra ones after") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE SCHEMA shared; CREATE TABLE shared.s (i int); CREATE TABLE shared.twice (i int);"
        "CREATE SCHEMA \"ext 1\"; CREATE FUNCTION \"ext 1\".f() RETURNS int LANGUAGE sql "
        "AS 'SELECT 1'");
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1,
                  "CREATE TABLE twice (i int); INSERT INTO twice SELECT f(); INSERT INTO s "
                  "SELECT 2; INSERT INTO :\"shared_schema\".twice VALUES (3)")});
    Steps one{session, folder};
    one.options.shared_in_path = true;
    one.options.search_path_extra = {"ext 1"};
    CHECK(one.fresh().verdict == Verdict::done);
    CHECK(database.value("SELECT i FROM one.twice") == "1");
    CHECK(database.value("SELECT i FROM shared.s") == "2");
    CHECK(database.value("SELECT i FROM shared.twice") == "3");
    one.options.shared_in_path = false;
    one.schema = "two";
    CHECK(one.fresh().failure->sqlstate == "42P01");
  }

  TEST_CASE("nothing of public is seen unless it is named") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE TABLE public.t (i int)");
    const RevisionFolder folder(Scope::tenant, {revision(1, "INSERT INTO t VALUES (1)")});
    CHECK(Steps{session, folder}.fresh().failure->sqlstate == "42P01");
  }

  TEST_CASE("a revision's own lock timeout holds for it alone") {
    TestDatabase database;
    Session session(database);
    const std::string keep =
        "CREATE TABLE IF NOT EXISTS o AS SELECT current_setting("
        "'lock_timeout') AS t; INSERT INTO o SELECT "
        "current_setting('lock_timeout')";
    const RevisionFolder folder(
        Scope::tenant, {revision(1, "-- tenantctl: lock-timeout 2s\n" + keep), revision(2, keep)});
    CHECK(Steps{session, folder}.fresh().verdict == Verdict::done);
    CHECK(database.value("SELECT string_agg(DISTINCT t, ',' ORDER BY t) FROM one.o") == "1s,2s");
  }

  TEST_CASE("run, version and origin stand in the row") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = three();
    Steps one{session, folder};
    one.options.table.run_id = "6f1d2a6e-6f1e-4f0f-8f31-0b8b1a2f3c4d";
    one.options.table.tool_version = "it's 1.0";
    CHECK(one.fresh("1").verdict == Verdict::done);
    CHECK(database.rows("SELECT run_id, tool_version, name FROM one.tenantctl_version") ==
          std::vector<std::vector<std::string>>{
              {"6f1d2a6e-6f1e-4f0f-8f31-0b8b1a2f3c4d", "it's 1.0", "0001_r1"}});
  }
}
