#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <thread>
#include <vector>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/rollout_bench.h"
#include "support/session.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

Revision function(const std::string& name, const std::string& value) {
  return repeatable_of(name, fmt::format("CREATE OR REPLACE FUNCTION {}() RETURNS text\n"
                                         "LANGUAGE sql AS $$SELECT '{}'$$;\n",
                                         name, value));
}

RevisionFolder folder_with(std::vector<Revision> repeatables) {
  return {Scope::tenant,
          {revision(1, "CREATE TABLE t (i int)", "DROP TABLE t"),
           revision(2, "CREATE TABLE u ()", "DROP TABLE u")},
          std::move(repeatables)};
}

// Names and whether applied again, by name; the rows must add up and the mark must say the same.
std::string recorded(TestDatabase& database, Session& session, const std::string& schema = "one") {
  const History history = session.history(schema);
  CHECK_NOTHROW(check_chain(history));
  CHECK(database.value("SELECT obj_description('" + schema + ".tenantctl_version'::regclass)") ==
        Mark::of(Scope::tenant, history).text());
  std::string text;
  for (const AppliedRevision& row : history)
    text += (text.empty() ? "" : " ") + row.name;
  return text;
}

Plan head_plan(const RevisionFolder& folder, const History& history) {
  return plan_upgrade(folder, history, Target::head());
}

std::string answer(TestDatabase& database, const std::string& name) {
  return database.value("SELECT one." + name + "()");
}

}  // namespace

TEST_SUITE("pg/migrate/repeatable") {
  TEST_CASE("repeatables are applied, recorded and part of the mark") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = folder_with({function("f", "first"), function("g", "first")});
    const Outcome outcome = Steps{session, folder}.fresh();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 4);
    CHECK(outcome.repeatables_done == 2);
    CHECK(outcome.mark.repeatables.size() == 64);
    CHECK(answer(database, "f") == "first");
    const History history = session.history("one");
    CHECK(history.size() == 4);
    CHECK(revisions_of(history).size() == 2);
    recorded(database, session);
    CHECK(head_plan(folder, history).empty());
  }

  TEST_CASE("a changed one is applied again, the others are left alone") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_with({function("f", "first"), function("g", "first")})}.fresh();
    const auto times = [&](const std::string& name) {
      return database.value(
          "SELECT applied_at || coalesce(run_id::text, '') FROM "
          "one.tenantctl_version WHERE name = '" +
          name + "'");
    };
    const std::string f = times("f");
    const std::string g = times("g");
    const RevisionFolder changed = folder_with({function("f", "first"), function("g", "second")});
    MigrateOptions options;
    options.table.run_id = "11111111-2222-4333-8444-555555555555";
    const Outcome outcome = Steps{session, changed, "one", options}.upgrade();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 1);
    CHECK(answer(database, "g") == "second");
    CHECK(times("f") == f);
    CHECK(times("g") != g);
    CHECK(times("g").ends_with(options.table.run_id));
    CHECK(database.value("SELECT duration >= '0' AND guard IS NULL FROM one.tenantctl_version "
                         "WHERE name = 'g'") == "t");
    recorded(database, session);
    CHECK(head_plan(changed, session.history("one")).empty());
  }

  TEST_CASE("a failing one leaves its record, what it made and the mark as they were") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_with({function("f", "first"), function("g", "first")})}.fresh();
    const History before = session.history("one");
    const RevisionFolder broken =
        folder_with({repeatable_of("f", function("f", "second").up.sql + "SELECT nope;\n"),
                     function("g", "second")});
    const Outcome outcome = Steps{session, broken}.upgrade();
    CHECK(outcome.verdict == Verdict::failed);
    REQUIRE(outcome.failure);
    CHECK(outcome.failure->message == "repeatable f failed: column \"nope\" does not exist");
    CHECK(outcome.failure->place->file == "repeatable/f.sql");
    CHECK(outcome.failure->place->line == 3);
    CHECK(answer(database, "f") == "first");
    CHECK(is_same(session.history("one"), before));
    recorded(database, session);
  }

  TEST_CASE("a COMMIT hidden in one keeps nothing") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_with({function("f", "first")})}.fresh();
    const RevisionFolder hidden = folder_with(
        {repeatable_of("f", function("f", "second").up.sql + "DO $$BEGIN COMMIT; END$$;\n")});
    const Outcome outcome = Steps{session, hidden}.upgrade();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(answer(database, "f") == "first");
    recorded(database, session);
  }

  TEST_CASE("a version table from before takes repeatables as it is") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_with({})}.fresh();
    CHECK(database.value("SELECT obj_description('one.tenantctl_version'::regclass)")
              .find("repeatables") == std::string::npos);
    const RevisionFolder folder = folder_with({function("f", "first")});
    CHECK(Steps{session, folder}.upgrade().verdict == Verdict::done);
    CHECK(recorded(database, session) == "0001_r1 0002_r2 f");
  }

  TEST_CASE("a downgrade forgets them, and the next upgrade applies them again") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = folder_with({function("f", "first")});
    const Steps one{session, folder};
    one.fresh();
    CHECK(one.downgrade("-1").verdict == Verdict::done);
    CHECK(recorded(database, session) == "0001_r1");
    CHECK(answer(database, "f") == "first");
    const Outcome again = one.upgrade();
    CHECK(again.steps_done == 2);
    CHECK(again.repeatables_done == 1);
    CHECK(recorded(database, session) == "0001_r1 0002_r2 f");
  }

  TEST_CASE("a downgrade outside a transaction forgets them before") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant, {autocommit_revision(1, "CREATE TABLE a (i int)", "SELECT 1;\nSELECT nope")},
        {function("f", "first")});
    const Steps one{session, folder};
    REQUIRE(one.fresh().verdict == Verdict::done);
    CHECK(one.downgrade("base").verdict == Verdict::failed);
    const History half = session.history("one");
    REQUIRE(half.size() == 1);
    CHECK(half.front().state == RowState::running);
    CHECK(half.front().confirmed == 1);
  }

  TEST_CASE("a file that is gone takes its row, not what it made") {
    TestDatabase database;
    Session session(database);
    Steps{session, folder_with({function("f", "first"), function("g", "first")})}.fresh();
    const Outcome outcome = Steps{session, folder_with({function("g", "first")})}.upgrade();
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.repeatables_done == 1);
    CHECK(recorded(database, session) == "0001_r1 0002_r2 g");
    CHECK(answer(database, "f") == "first");
  }

  TEST_CASE("a stale plan is refused whichever way the repeatables moved meanwhile") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder none = folder_with({});
    const RevisionFolder first = folder_with({function("f", "first")});
    const RevisionFolder second = folder_with({function("f", "second")});
    Steps{session, none}.fresh("0001");
    const History at_one = session.history("one");
    Steps{session, first}.upgrade("0001");
    const auto verdict = [&](const RevisionFolder& folder, const History& history) {
      return session.migrate("one", head_plan(folder, history)).verdict;
    };
    // Somebody applied a repeatable since: neither a revision nor a repeatable goes on.
    const Plan late = head_plan(first, at_one);
    Steps{session, first}.upgrade();
    History without = revisions_of(session.history("one"));
    CHECK(session.migrate("one", late).verdict == Verdict::moved);
    CHECK(verdict(second, without) == Verdict::moved);
    CHECK(session.migrate("one", plan_remark(none, without)).verdict == Verdict::moved);
    // Somebody changed one since.
    const History with_first = session.history("one");
    Steps{session, second}.upgrade();
    CHECK(session.migrate("one", plan_remark(first, with_first)).verdict == Verdict::moved);
    CHECK(session.migrate("one", plan_downgrade(first, with_first, Target::parse("-1"))).verdict ==
          Verdict::moved);
    // Somebody forgot them since.
    const History with_second = session.history("one");
    Steps{session, folder_with({})}.upgrade();
    CHECK(session.migrate("one", plan_remark(second, with_second)).verdict == Verdict::moved);
    CHECK(recorded(database, session) == "0001_r1 0002_r2");
  }

  TEST_CASE("schemas that met them in different orders share a place and a plan") {
    TestDatabase database;
    const Revision f = function("f", "first");
    const Revision g = function("g", "first");
    {
      RolloutBench early(database, folder_with({g}));
      early.run({"one"});
      RolloutBench later(database, folder_with({f}));
      later.run({"two"});
      RolloutBench both(database, folder_with({f, g}));
      CHECK(both.run({"one", "two"}).count(Result::applied) == 2);
    }
    Session session(database);
    CHECK(recorded(database, session, "one") == recorded(database, session, "two"));
    const auto mark = [&](const std::string& schema) {
      return database.value("SELECT obj_description('" + schema + ".tenantctl_version'::regclass)");
    };
    CHECK(mark("one") == mark("two"));
    RolloutBench changed(database, folder_with({function("f", "second"), function("g", "second")}));
    CHECK(changed.run({"one", "two"}).count(Result::applied) == 2);
    CHECK(database.value("SELECT one.f() || one.g() || two.f() || two.g()") ==
          "secondsecondsecondsecond");
  }

  TEST_CASE("where the mark names the folder's repeatables no table is read") {
    TestDatabase database;
    const RevisionFolder folder = folder_with({function("f", "first"), function("g", "first")});
    RolloutBench(database, folder).run({"one"});
    // Were the rows read, they would not add up.
    database.execute("UPDATE one.tenantctl_version SET digest = 'x'");
    Session session(database);
    const Fleet fleet = read_schemas(session.pipeline(), {}, {"one"}, soon());
    const auto standing = [&](const RevisionFolder& today) {
      return read_standings(session.pipeline(), fleet, {0}, today, {}, soon()).front();
    };
    const Standing marked = standing(folder);
    CHECK(marked.state == Standing::State::marked);
    CHECK(head_plan(folder, marked.history).empty());
    CHECK(plan_downgrade(folder, marked.history, Target::parse("-1"))
              .steps.front()
              .forgotten_repeatables() == 2);
    CHECK(standing(folder_with({function("f", "second")})).state == Standing::State::broken);
  }

  TEST_CASE("two rollouts at once apply each repeatable once") {
    TestDatabase database;
    create_journal(database);
    const auto schemas = schema_names(20);
    std::vector<std::size_t> good(2);
    const auto run = [&](std::size_t which) {
      RolloutBench bench(database,
                         {Scope::tenant,
                          {revision(1, "CREATE TABLE a ();\n" + journal(1))},
                          {repeatable_of("f", journal(2)), repeatable_of("g", journal(3))}});
      bench.options.jobs = 2;
      bench.options.worker.depth = 4;
      const Report report = bench.run(schemas);
      good[which] = report.count(Result::applied) + report.count(Result::unchanged);
    };
    std::thread other([&] { run(0); });
    run(1);
    other.join();
    CHECK(good == std::vector<std::size_t>{20, 20});
    CHECK(journal_counts(database) == "60 rows, 0 doubled");
  }
}
