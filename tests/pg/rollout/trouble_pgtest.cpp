#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pq/transaction.h"
#include "rollout/rollout.h"
#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

const std::string sleeping =
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
    "'%pg_sleep(%' AND pid <> pg_backend_pid() AND datname = current_database()";

const SchemaReport& report_of(const Report& report, const std::string& schema) {
  for (const SchemaReport& one : report.schemas) {
    if (one.schema == schema)
      return one;
  }
  throw std::runtime_error("not in the report: " + schema);
}

std::size_t total(const Report& report) {
  std::size_t sum = 0;
  for (const std::size_t count : report.counts())
    sum += count;
  return sum;
}

std::string sqlstate(const SchemaReport& report) {
  return report.failure ? report.failure->sqlstate : "";
}

}  // namespace

TEST_SUITE("pg/rollout/trouble") {
  TEST_CASE("a backend terminated in the middle ends complete after connecting again") {
    for (const std::size_t depth : {1U, 4U}) {
      CAPTURE(depth);
      TestDatabase database;
      create_journal(database);
      bool met = false;
      Report report;
      {
        RolloutBench bench(database, {Scope::tenant,
                                      {revision(1, "CREATE TABLE a ();\n" + journal(1)),
                                       revision(2, journal(2) + "SELECT pg_sleep(0.3)")}});
        bench.options.jobs = 2;
        bench.options.worker.depth = depth;
        std::thread other([&] {
          met = becomes_true(database, sleeping);
          database.execute(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query "
              "LIKE '%pg_sleep(%' AND pid <> pg_backend_pid() AND datname = "
              "current_database() LIMIT 1");
        });
        report = bench.run(schema_names(8));
        other.join();
      }
      CHECK(met);
      CHECK(report.count(Result::applied) == 8);
      CHECK(journal_counts(database) == "16 rows, 0 doubled");
    }
  }

  TEST_CASE("outside a transaction a lost index is built again, another statement is asked about") {
    for (const bool index : {true, false}) {
      CAPTURE(index);
      TestDatabase database;
      create_journal(database);
      database.execute(
          "CREATE FUNCTION public.slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN "
          "PERFORM pg_sleep(0.2); RETURN i; END$$");
      const std::string what =
          index ? "CREATE INDEX /* pg_sleep( */ CONCURRENTLY i ON a (public.slow(i));\n"
                : "SELECT pg_sleep(2);\n";
      RolloutBench bench(database,
                         {Scope::tenant,
                          {revision(1, "CREATE TABLE a (i int); INSERT INTO a VALUES (1), (2)"),
                           autocommit_revision(2, journal(1) + what + journal(2))}});
      std::thread other([&] {
        becomes_true(database, sleeping);
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
            "'%pg_sleep(%' AND pid <> pg_backend_pid() AND datname = current_database()");
      });
      const Report report = bench.run({"one"});
      other.join();
      const SchemaReport& one = report_of(report, "one");
      CHECK(one.result == (index ? Result::applied : Result::failed));
      CHECK(journal_counts(database) == (index ? "2 rows, 0 doubled" : "1 rows, 0 doubled"));
      CHECK(database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "0");
      if (!index) {
        REQUIRE(one.failure);
        CHECK(one.failure->message.find("not known") != std::string::npos);
      }
    }
  }

  TEST_CASE("a lock that goes away in time is waited for with growing pauses") {
    TestDatabase database;
    create_journal(database);
    database.execute("CREATE TABLE public.wanted ()");
    Session blocker(database);
    blocker.send_sql({"BEGIN", "LOCK TABLE public.wanted"});
    RolloutBench bench(database,
                       {Scope::tenant, {revision(1, "LOCK TABLE public.wanted;\n" + journal(1))}});
    bench.options.migrate.lock_timeout = 100ms;
    std::thread other([&] {
      std::this_thread::sleep_for(600ms);
      blocker.execute("COMMIT");
    });
    const Report report = bench.run({"one"});
    other.join();
    CHECK(report_of(report, "one").result == Result::applied);
    CHECK(report_of(report, "one").tries > 0);
    CHECK(journal_counts(database) == "1 rows, 0 doubled");
  }

  TEST_CASE("a lock that stays ends as busy, and harms no other schema") {
    TestDatabase database;
    create_journal(database);
    database.execute("CREATE TABLE public.wanted ()");
    Session blocker(database);
    blocker.send_sql({"BEGIN", "LOCK TABLE public.wanted"});
    RolloutBench bench(
        database,
        {Scope::tenant,
         {revision(1,
                   "CREATE FUNCTION f(s text) RETURNS void LANGUAGE plpgsql AS $$BEGIN IF s = "
                   "'t02' THEN LOCK TABLE public.wanted; END IF; END$$;\n"
                   "SELECT f(:'schema');\n" +
                       journal(1))}});
    bench.options.migrate.lock_timeout = 50ms;
    bench.options.patience.tries = 3;
    const Report report = bench.run(schema_names(5));
    CHECK(report.count(Result::applied) == 4);
    CHECK(report_of(report, "t02").result == Result::busy);
    CHECK(sqlstate(report_of(report, "t02")) == "55P03");
    CHECK(report_of(report, "t02").tries == 3);
    CHECK(journal_counts(database) == "4 rows, 0 doubled");
  }

  TEST_CASE("a schema that another run holds is waited for, for as long as was asked") {
    TestDatabase database;
    database.execute("CREATE SCHEMA one");
    database.execute(fmt::format("SELECT pg_advisory_lock({}, 'one'::regnamespace::int)",
                                 VersionTable::lock_class));
    RolloutBench bench(database, {Scope::tenant, {revision(1, "CREATE TABLE a ()")}});
    bench.options.patience.lock_wait = 400ms;
    const auto begin = pq::Clock::now();
    const Report busy = bench.run({"one"});
    CHECK(report_of(busy, "one").result == Result::busy);
    CHECK(pq::Clock::now() - begin >= 400ms);
    CHECK(pq::Clock::now() - begin < 3s);
    std::thread other([&] {
      std::this_thread::sleep_for(200ms);
      database.execute("SELECT pg_advisory_unlock_all()");
    });
    bench.options.patience.lock_wait = 20s;
    const Report done = bench.run({"one"});
    other.join();
    CHECK(report_of(done, "one").result == Result::applied);
  }

  TEST_CASE("the loser of a deadlock is tried again") {
    TestDatabase database;
    create_journal(database);
    database.execute("CREATE TABLE public.a (); CREATE TABLE public.b ()");
    Session other(database);
    other.send_sql({"SET deadlock_timeout = '1min'", "BEGIN", "LOCK TABLE public.a"});
    RolloutBench bench(
        database, {Scope::tenant,
                   {revision(1, "LOCK TABLE public.b;\nLOCK TABLE public.a;\n" + journal(1))}});
    bench.options.migrate.lock_timeout = 20s;
    std::thread thread([&] {
      becomes_true(database,
                   "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = "
                   "'public.a'::regclass");
      other.execute("LOCK TABLE public.b");
      other.execute("COMMIT");
    });
    const Report report = bench.run({"one"});
    thread.join();
    CHECK(report_of(report, "one").result == Result::applied);
    CHECK(report_of(report, "one").tries == 1);
    CHECK(journal_counts(database) == "1 rows, 0 doubled");
  }

  TEST_CASE("a signal cancels what runs within a second and starts nothing more") {
    for (const std::size_t depth : {1U, 8U}) {
      CAPTURE(depth);
      TestDatabase database;
      create_journal(database);
      RolloutBench bench(
          database, {Scope::tenant,
                     {revision(1, journal(1)), revision(2, journal(2) + "SELECT pg_sleep(30)")}});
      bench.options.jobs = 2;
      bench.options.worker.depth = depth;
      pq::Deadline raised{};
      std::thread other([&] {
        becomes_true(database, sleeping);
        raised = pq::Clock::now();
        bench.signals = 1;
      });
      const Report report = bench.run(schema_names(40));
      other.join();
      // Each segment in flight is cancelled as its turn comes.
      CHECK(pq::Clock::now() - raised < (depth == 1 ? 1500ms : 5s));
      CHECK(report.interrupted);
      CHECK(total(report) == 40);
      CHECK(report.count(Result::applied) == 0);
      CHECK(report.count(Result::interrupted) > 0);
      CHECK(report.count(Result::interrupted) + report.count(Result::not_started) == 40);
      CHECK(database.value("SELECT count(*) FROM public.journal WHERE revision = 2") == "0");
      CHECK(report.count(Result::not_started) >= 40 - 2 * depth);
    }
  }

  TEST_CASE("stopped at depth 8 the report says of each schema what the database has") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(
        database, {Scope::tenant,
                   {revision(1, journal(1)), revision(2, journal(2) + "SELECT pg_sleep(0.01)")}});
    bench.options.jobs = 2;
    bench.options.worker.depth = 8;
    std::thread other([&] {
      becomes_true(database, "SELECT count(*) >= 60 FROM public.journal");
      bench.signals = 1;
    });
    const Report report = bench.run(schema_names(200));
    other.join();
    CHECK(report.interrupted);
    REQUIRE(total(report) == 200);
    CHECK(report.count(Result::applied) >= 28);
    CHECK(report.count(Result::not_started) > 0);
    std::map<std::string, std::uint32_t> rows;
    for (const auto& row :
         database.rows("SELECT schema, count(*) FROM public.journal GROUP BY schema"))
      rows[row[0]] = static_cast<std::uint32_t>(std::stoul(row[1]));
    std::size_t begun = 0;
    for (const SchemaReport& schema : report.schemas) {
      CAPTURE(schema.schema);
      CAPTURE(to_text(schema.result));
      CHECK(schema.steps == rows[schema.schema]);
      CHECK((schema.result == Result::applied) == (rows[schema.schema] == 2));
      if (schema.result == Result::not_started)
        CHECK(rows[schema.schema] == 0);
      else if (schema.result != Result::applied)
        ++begun;
    }
    // What a connection had in flight, no more.
    CHECK(begun <= 2 * 8);
    CHECK(database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
  }

  TEST_CASE("a signal outside a transaction keeps what was confirmed, and the run can go on") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(
        database, {Scope::tenant,
                   {autocommit_revision(1, journal(1) + "SELECT pg_sleep(0.6);\n" + journal(2))}});
    std::thread other([&] {
      becomes_true(database, sleeping);
      bench.signals = 1;
    });
    const Report report = bench.run(schema_names(3));
    other.join();
    CHECK(total(report) == 3);
    CHECK(report.count(Result::applied) == 0);
    CHECK(database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
    bench.signals = 0;
    const Report again = bench.run(schema_names(3));
    for (const SchemaReport& one : again.schemas) {
      CHECK_MESSAGE(one.result == Result::applied, (one.failure ? one.failure->message : ""));
    }
    CHECK(journal_counts(database) == "6 rows, 0 doubled");
  }

  TEST_CASE("a second signal closes the connections and everything is accounted for") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, {Scope::tenant, {revision(1, "SELECT pg_sleep(30)")}});
    bench.options.jobs = 2;
    bench.options.worker.depth = 4;
    pq::Deadline raised{};
    std::thread other([&] {
      becomes_true(database, sleeping);
      raised = pq::Clock::now();
      bench.signals = 2;
    });
    const Report report = bench.run(schema_names(20));
    other.join();
    CHECK(pq::Clock::now() - raised < 10s);
    CHECK(total(report) == 20);
    CHECK(report.interrupted);
    CHECK(report.count(Result::applied) == 0);
  }

  TEST_CASE("a session that is slow to begin is not closed again and again by a second signal") {
    TestDatabase database;
    RolloutBench bench(database, {Scope::tenant, {revision(1, "SELECT pg_sleep(30)")}});
    bench.options.jobs = 1;
    // run() replaces the setup of a direct session.
    bench.options.migrate.direct = false;
    bench.options.worker.setup = pq::session_settings(bench.options.migrate.server_version);
    bench.options.worker.setup.push_back({.sql = "SELECT pg_sleep(0.5)"});
    std::thread other([&] {
      becomes_true(database,
                   "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%(30)%' "
                   "AND query NOT LIKE '%pg_stat_activity%' AND wait_event = 'PgSleep'");
      bench.signals = 2;
    });
    const Report report = bench.run(schema_names(1));
    other.join();
    CHECK(total(report) == 1);
    CHECK(report.interrupted);
  }

  TEST_CASE("with fewer connection slots than jobs the run goes on with those it has") {
    TestDatabase database;
    create_journal(database);
    const std::string role = database.second_role();
    database.execute(
        fmt::format("GRANT CREATE ON DATABASE {0} TO {1}; ALTER ROLE {1} CONNECTION "
                    "LIMIT 1; GRANT ALL ON public.journal TO {1}",
                    database.name(), role));
    RolloutBench bench(database, {Scope::tenant, {revision(1, journal(1))}}, role);
    bench.options.jobs = 4;
    const Report report = bench.run(schema_names(10));
    CHECK(report.count(Result::applied) == 10);
    CHECK(journal_counts(database) == "10 rows, 0 doubled");
  }

  TEST_CASE("a server without room stops the run and says which were not started") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(
        database,
        {Scope::tenant,
         {revision(1,
                   "CREATE FUNCTION f(s text) RETURNS void LANGUAGE plpgsql AS $$BEGIN IF s = "
                   "'t03' THEN RAISE 'no space' USING ERRCODE = '53100'; END IF; END$$;\n"
                   "SELECT f(:'schema');\n" +
                       journal(1))}});
    bench.options.jobs = 1;
    const Report report = bench.run(schema_names(10));
    CHECK(total(report) == 10);
    CHECK(report.count(Result::applied) == 2);
    CHECK(report.count(Result::failed) == 1);
    CHECK(report.count(Result::not_started) == 7);
    CHECK(report.stopped_by.find("no space") != std::string::npos);
  }

  TEST_CASE("a schema that is dropped while the run goes on is gone, not failed") {
    TestDatabase database;
    create_journal(database);
    RolloutBench first(database, {Scope::tenant, {revision(1, journal(1))}});
    first.run(schema_names(3));
    const RevisionFolder folder(
        Scope::tenant, {revision(1, journal(1)), revision(2, journal(2) + "SELECT pg_sleep(1)")});
    Session control(database);
    const Plan plan = plan_upgrade(folder, history_of(folder, 1), Target::head());
    const Replan replan = [&folder](const History& history, Missing missing) {
      return plan_upgrade(folder, history, Target::head(),
                          {.allow_out_of_order = false, .missing = missing});
    };
    first.options.jobs = 1;
    SilentObserver observer;
    const std::atomic<int> signals{0};
    Rollout rollout(first.options, replan, observer, control.pipeline(), signals);
    std::thread other([&] {
      becomes_true(database, sleeping);
      database.execute("DROP SCHEMA t03 CASCADE");
    });
    const Report report = rollout.run({TaskGroup{.plan = plan, .missing = Missing::nothing}},
                                      {{"t01", 0}, {"t02", 0}, {"t03", 0}});
    other.join();
    CHECK(report.count(Result::applied) == 2);
    CHECK(report_of(report, "t03").result == Result::gone);
    CHECK_FALSE(report.has_problem());
  }
}
