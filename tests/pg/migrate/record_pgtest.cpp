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

Revision table(int number, const std::string& more = {}) {
  return revision(number, fmt::format("CREATE TABLE t{} (){}", number, more),
                  fmt::format("DROP TABLE t{}", number));
}

RevisionFolder folder_of(const std::vector<int>& numbers) {
  std::vector<Revision> revisions;
  for (const int number : numbers)
    revisions.push_back(table(number));
  return {Scope::tenant, revisions};
}

// As `1:3 2:1`, position and revision; the rows must add up and the mark must say the same.
std::string order(TestDatabase& database, Session& session) {
  const History history = session.history("one");
  CHECK_NOTHROW(check_chain(history));
  CHECK(database.value("SELECT obj_description('one.tenantctl_version'::regclass)") ==
        Mark::of(Scope::tenant, history).text());
  std::string text;
  for (const AppliedRevision& row : history)
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", row.position, row.number);
  return text;
}

std::string tables_of_one(TestDatabase& database) {
  return database.value(
      "SELECT coalesce(string_agg(tablename, ',' ORDER BY tablename), '') FROM pg_tables "
      "WHERE schemaname = 'one' AND tablename LIKE 't_'");
}

}  // namespace

TEST_SUITE("pg/migrate/record") {
  TEST_CASE("late revisions are applied behind the others when that is allowed") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_of({3, 5})}.fresh();
    const RevisionFolder all = folder_of({1, 2, 3, 4, 5, 6});
    CHECK_THROWS_AS((Steps{session, all}.upgrade()), HistoryError);
    CHECK((Steps{session, all}.upgrade("head", true).steps_done) == 4);
    CHECK(order(database, session) == "1:3 2:5 3:1 4:2 5:4 6:6");
  }

  TEST_CASE("taking back from the middle of such an order renumbers the rest") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_of({3, 5, 6})}.fresh();
    const RevisionFolder all = folder_of({1, 2, 3, 4, 5, 6});
    const Steps one{session, all};
    one.upgrade("head", true);
    CHECK(order(database, session) == "1:3 2:5 3:6 4:1 5:2 6:4");
    CHECK(one.downgrade("4").verdict == Verdict::done);
    CHECK(order(database, session) == "1:3 2:1 3:2 4:4");
    CHECK(tables_of_one(database) == "t1,t2,t3,t4");
    CHECK(one.downgrade("-1").verdict == Verdict::done);
    CHECK(order(database, session) == "1:3 2:1 3:2");
    CHECK(one.downgrade("1").verdict == Verdict::done);
    CHECK(order(database, session) == "1:1");
    CHECK(one.upgrade().verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2 3:3 4:4 5:5 6:6");
    CHECK(one.downgrade("base").verdict == Verdict::done);
    CHECK(tables_of_one(database).empty());
  }

  TEST_CASE("a revision outside a transaction is taken back from the middle as well") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder some(
        Scope::tenant, {autocommit_revision(3, "CREATE TABLE t3 ()", "DROP TABLE t3"), table(4)});
    Steps{session, some}.fresh();
    const RevisionFolder all(Scope::tenant,
                             {table(1), table(2), some.revisions()[0], some.revisions()[1]});
    const Steps one{session, all};
    one.upgrade("head", true);
    CHECK(order(database, session) == "1:3 2:4 3:1 4:2");
    CHECK(one.downgrade("2").verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2");
    CHECK(tables_of_one(database) == "t1,t2");
  }

  TEST_CASE("a stamp records without running, onwards and back, and keeps what stays") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE SCHEMA one");
    const RevisionFolder folder = folder_of({1, 2, 3});
    const auto stamp = [&](const char* target, Missing missing = Missing::nothing) {
      const History history = missing == Missing::nothing ? session.history("one") : History{};
      return session.migrate("one", plan_stamp(folder, history, Target::parse(target), missing));
    };
    CHECK(stamp("2", Missing::table).verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2");
    CHECK(tables_of_one(database).empty());
    const std::string time = "SELECT applied_at FROM one.tenantctl_version WHERE position = 1";
    const std::string before = database.value(time);
    CHECK(stamp("head").verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2 3:3");
    CHECK(stamp("1").verdict == Verdict::done);
    CHECK(order(database, session) == "1:1");
    CHECK(database.value(time) == before);
    CHECK(database.value("SELECT DISTINCT origin FROM one.tenantctl_version") == "stamp");
    CHECK(stamp("base").verdict == Verdict::done);
    CHECK(order(database, session).empty());
    CHECK(stamp("base").steps_done == 0);
  }

  TEST_CASE("a stamp mends an order and a history that the folder does not know") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_of({2, 9})}.fresh();
    const RevisionFolder folder = folder_of({1, 2, 3});
    CHECK(session.migrate("one", plan_stamp(folder, session.history("one"), Target::head()))
              .verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2 3:3");
  }

  TEST_CASE("an edited revision is refused until its checksum is accepted") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_of({1, 2, 3})}.fresh();
    const RevisionFolder edited(Scope::tenant,
                                {table(1), table(2, "; -- edited\nSELECT 1"), table(3), table(4)});
    CHECK_THROWS_WITH_AS((Steps{session, edited}.upgrade()),
                         "revision 0002_r2 was edited after being applied", HistoryError);
    const Plan plan = plan_accept(edited, session.history("one"), edited.revisions()[1]);
    CHECK(session.migrate("one", plan).verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2 3:3");
    CHECK(is_same(session.history("one"), history_of(edited, 3)));
    CHECK(Steps{session, edited}.upgrade().steps_done == 1);
    CHECK(plan_accept(edited, session.history("one"), edited.revisions()[1]).empty());
  }

  TEST_CASE("a lost mark is written again from the rows") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = folder_of({1, 2});
    Steps{session, folder}.fresh();
    database.execute("COMMENT ON TABLE one.tenantctl_version IS 'who was here'");
    const Plan plan = plan_remark(folder, session.history("one"));
    CHECK(session.migrate("one", plan).verdict == Verdict::done);
    CHECK(order(database, session) == "1:1 2:2");
  }

  TEST_CASE("a plan that records is fenced like one that runs") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = folder_of({1, 2});
    Steps{session, folder}.fresh("1");
    const Plan plan = plan_stamp(folder, session.history("one"), Target::head());
    Steps{session, folder}.upgrade();
    CHECK(session.migrate("one", plan).verdict == Verdict::moved);
  }

  TEST_CASE("a row that somebody edited by hand is not gone past") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = folder_of({1, 2});
    Steps{session, folder}.fresh();
    database.execute("UPDATE one.tenantctl_version SET checksum = 'x' WHERE position = 1");
    CHECK_THROWS_AS((Steps{session, folder}.upgrade()), HistoryError);
  }
}
