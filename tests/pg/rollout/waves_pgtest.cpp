#include "rollout/waves.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// Keeps what it was told.
class WaveListener final : public Observer {
 public:
  void started(const Progress& /*progress*/) override {}
  void wave_started(const Progress& progress, std::size_t schemas) override {
    waves.push_back(fmt::format("{}/{}: {}", progress.wave, progress.waves, schemas));
  }
  void finished(const SchemaReport& schema, const Progress& /*progress*/) override {
    order.push_back(schema.schema);
  }
  void tick(const Progress& progress) override {
    for (const Activity& activity : progress.activities) {
      if (activity.blocker && !first_blocker)
        first_blocker = *activity.blocker;
    }
  }
  void ended(const Report& /*report*/) override {}

  std::vector<std::string> waves;
  std::vector<std::string> order;
  std::optional<Blocker> first_blocker;
};

RevisionFolder one_revision() {
  return {Scope::tenant, {revision(1, "CREATE TABLE a (i int);\n" + journal(1))}};
}

RevisionFolder two_revisions() {
  return {Scope::tenant,
          {revision(1, "CREATE TABLE a (i int);\n"), revision(2, "ALTER TABLE a ADD j int;\n")}};
}

// Fails in the named schemas.
RevisionFolder failing_in(const std::string& schemas) {
  return {Scope::tenant,
          {revision(1, fmt::format("SELECT 1 / CASE WHEN :'schema' IN ({}) THEN 0 ELSE 1 END;\n",
                                   schemas))}};
}

/// Holds a lock on a table until it goes.
class Holder {
 public:
  Holder(const TestDatabase& database, const std::string& table) : session_(database) {
    session_.execute("SET application_name = 'billing nightly'");
    session_.execute(fmt::format("BEGIN"));
    session_.execute(fmt::format("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table));
  }

 private:
  Session session_;
};

std::size_t count(const Report& report, Result result) { return report.count(result); }

}  // namespace

TEST_SUITE("pg/rollout/waves") {
  TEST_CASE("waves go one after the other, named canaries first") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, one_revision());
    WaveListener listener;
    bench.observer = &listener;
    bench.options.waves.canaries = {"t07", "t03"};
    bench.options.waves.waves = {Amount::parse("50%")};
    const Report report = bench.run(schema_names(10));
    CHECK(count(report, Result::applied) == 10);
    CHECK(listener.waves == std::vector<std::string>{"1/3: 2", "2/3: 3", "3/3: 5"});
    std::vector<std::string> first(listener.order.begin(), listener.order.begin() + 2);
    std::sort(first.begin(), first.end());
    CHECK(first == std::vector<std::string>{"t03", "t07"});
  }

  TEST_CASE("a canary that fails touches nothing else") {
    TestDatabase database;
    RolloutBench bench(database, failing_in("'t02'"));
    bench.options.waves.canaries = {"t02"};
    const Report report = bench.run(schema_names(20));
    CHECK(count(report, Result::failed) == 1);
    CHECK(count(report, Result::not_started) == 19);
    CHECK(report.stopped_by == "1 schema of wave 1 failed");
    CHECK(database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't__'") == "0");
  }

  TEST_CASE("a canary opens no connection but its own") {
    TestDatabase database;
    create_journal(database);
    database.execute("CREATE TABLE public.seen (connections bigint)");
    RolloutBench bench(
        database, {Scope::tenant,
                   {revision(1,
                             "SELECT pg_sleep(0.2);\n"
                             "INSERT INTO public.seen SELECT count(*) FROM pg_stat_activity WHERE "
                             "datname = current_database() AND application_name LIKE '%/run'")}});
    bench.options.jobs = 4;
    bench.options.worker.connect.application_name = "tenantctl/test/run";
    bench.options.waves.canary = Amount::parse("1");
    CHECK(count(bench.run(schema_names(9)), Result::applied) == 9);
    CHECK(database.value("SELECT min(connections) FROM public.seen") == "1");
    CHECK(database.value("SELECT max(connections) FROM public.seen") == "4");
  }

  TEST_CASE("an unknown canary is refused before anything is touched") {
    TestDatabase database;
    RolloutBench bench(database, one_revision());
    bench.options.waves.canaries = {"nobody"};
    CHECK_THROWS_AS(bench.run(schema_names(3)), UsageError);
    CHECK(database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't__'") == "0");
  }

  TEST_CASE("without a budget failures are collected, with one the run stops") {
    TestDatabase database;
    RolloutBench bench(database, failing_in("'t01', 't02', 't03'"));
    bench.options.jobs = 1;
    CHECK(count(bench.run(schema_names(20)), Result::failed) == 3);
    bench.options.budgets.failures = Amount::parse("10%");
    const Report report = bench.run(schema_names(22));
    CHECK(count(report, Result::failed) >= 1);
    CHECK(report.schemas.size() == 22);
    bench.options.budgets.failures = Amount::parse("1");
    RolloutBench fresh(database, failing_in("'x01', 'x02', 'x03'"));
    fresh.options.jobs = 1;
    fresh.options.budgets.failures = Amount::parse("1");
    const Report stopped = fresh.run(schema_names(20, "x"));
    CHECK(count(stopped, Result::failed) == 2);
    CHECK(count(stopped, Result::not_started) == 18);
  }

  TEST_CASE("a wave that is not confirmed does not begin") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, one_revision());
    bench.options.waves.canary = Amount::parse("1");
    std::size_t asked_for = 0;
    bench.options.waves.confirm = [&asked_for](std::size_t wave, std::size_t schemas) {
      asked_for = wave * 100 + schemas;
      return false;
    };
    const Report report = bench.run(schema_names(8));
    CHECK(asked_for == 207);
    CHECK(count(report, Result::applied) == 1);
    CHECK(count(report, Result::not_started) == 7);
    CHECK(report.stopped_by == "wave 2 was not confirmed");
  }

  TEST_CASE("between waves there is a pause, and a signal ends it") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, one_revision());
    bench.options.waves.canary = Amount::parse("1");
    bench.options.waves.pause = 700ms;
    CHECK(bench.run(schema_names(4)).duration >= 700ms);
    bench.options.waves.pause = 60s;
    std::thread signal([&bench] {
      std::this_thread::sleep_for(500ms);
      bench.signals = 1;
    });
    const Report report = bench.run(schema_names(4, "u"));
    signal.join();
    CHECK(report.interrupted);
    CHECK(report.duration < 10s);
    CHECK(count(report, Result::applied) == 1);
    CHECK(count(report, Result::not_started) == 3);
  }

  TEST_CASE("a run that takes too long starts nothing more") {
    TestDatabase database;
    RolloutBench bench(database, {Scope::tenant, {revision(1, "SELECT pg_sleep(0.2);\n")}});
    bench.options.jobs = 1;
    bench.options.budgets.duration = 500ms;
    const Report report = bench.run(schema_names(20));
    CHECK(count(report, Result::applied) >= 2);
    CHECK(count(report, Result::not_started) >= 14);
    CHECK(report.stopped_by == "the run takes longer than --max-duration allows");
  }

  TEST_CASE("a blocked canary names its blocker within two seconds") {
    TestDatabase database;
    RolloutBench first(database, {Scope::tenant, {revision(1, "CREATE TABLE a (i int);\n")}});
    first.run(schema_names(3));
    const Holder holder(database, "t01.a");
    RolloutBench bench(database, two_revisions());
    WaveListener listener;
    bench.observer = &listener;
    bench.options.waves.canaries = {"t01"};
    bench.options.budgets.lock_waits = 0;
    bench.options.migrate.lock_timeout = 1s;
    const Report report = bench.run(schema_names(3));
    CHECK(report.duration < 2s + 500ms);
    REQUIRE(listener.first_blocker);
    CHECK(listener.first_blocker->application == "billing nightly");
    CHECK(listener.first_blocker->state == "idle in transaction");
    CHECK(listener.first_blocker->query.starts_with("LOCK TABLE t01.a"));
    CHECK(report.stopped_by == "1 try met a lock, more than --max-lock-waits allows");
    CHECK(count(report, Result::not_started) == 2);
    CHECK(count(report, Result::busy) == 1);
    for (const SchemaReport& schema : report.schemas) {
      if (schema.schema == "t01") {
        REQUIRE(schema.blocker);
        CHECK(schema.blocker->pid == listener.first_blocker->pid);
      }
    }
  }

  TEST_CASE("blocked schemas keep nobody else waiting") {
    for (const std::size_t jobs : {std::size_t{1}, std::size_t{2}}) {
      TestDatabase database;
      RolloutBench first(database, {Scope::tenant, {revision(1, "CREATE TABLE a (i int);\n")}});
      first.run(schema_names(60));
      const Holder one(database, "t01.a");
      const Holder two(database, "t02.a");
      RolloutBench bench(database, two_revisions());
      WaveListener listener;
      bench.observer = &listener;
      bench.options.jobs = jobs;
      bench.options.patience.tries = 3;
      bench.options.migrate.lock_timeout = 500ms;
      const Report report = bench.run(schema_names(60));
      CHECK(count(report, Result::applied) == 58);
      CHECK(count(report, Result::busy) == 2);
      // One first try each is all that the others can have waited for.
      CHECK(listener.order.back() != "t60");
      CHECK(report.schemas.back().result == Result::busy);
    }
  }

  TEST_CASE("a schema that met a lock is tried again while others still come, whatever the depth") {
    TestDatabase database;
    RolloutBench first(database, {Scope::tenant, {revision(1, "CREATE TABLE a (i int);\n")}});
    first.run(schema_names(60));
    auto holder = std::make_unique<Holder>(database, "t01.a");
    std::thread release([&] {
      becomes_true(database, "SELECT count(*) >= 5 FROM pg_attribute WHERE attname = 'j'");
      holder.reset();
    });
    RolloutBench bench(database,
                       {Scope::tenant,
                        {revision(1, "CREATE TABLE a (i int);\n"),
                         revision(2, "ALTER TABLE a ADD j int; SELECT pg_sleep(0.1);\n")}});
    WaveListener listener;
    bench.observer = &listener;
    bench.options.jobs = 2;
    bench.options.worker.depth = 8;
    bench.options.migrate.lock_timeout = 200ms;
    const Report report = bench.run(schema_names(60));
    release.join();
    CHECK(count(report, Result::applied) == 60);
    const auto place = std::find(listener.order.begin(), listener.order.end(), "t01");
    CHECK(place - listener.order.begin() >= 5);
    CHECK(place - listener.order.begin() < 40);
  }

  TEST_CASE("a connection is made anew after so many schemas") {
    TestDatabase database;
    create_journal(database);
    database.execute("CREATE TABLE public.pids (pid int)");
    RolloutBench bench(
        database,
        {Scope::tenant, {revision(1, "INSERT INTO public.pids VALUES (pg_backend_pid());\n")}});
    bench.options.jobs = 1;
    bench.options.worker.depth = 4;
    bench.options.worker.schemas_per_session = 10;
    const ServerLog log;
    CHECK(count(bench.run(schema_names(35)), Result::applied) == 35);
    CHECK(database.value("SELECT count(DISTINCT pid) FROM public.pids") == "4");
    CHECK(log.lines("WARNING").empty());
    CHECK(log.lines("FATAL").empty());
  }

  TEST_CASE("a rollout over a thousand schemas leaves nothing in the server's log") {
    TestDatabase database;
    const ServerLog log;
    {
      RolloutBench bench(database, {Scope::tenant, {revision(1, "CREATE TABLE a ();\n")}});
      bench.options.worker.adapts = true;
      bench.options.worker.depth = 8;
      std::vector<std::string> names;
      for (int i = 0; i < 1'000; ++i)
        names.push_back(fmt::format("s{:04}", i));
      CHECK(count(bench.run(names), Result::applied) == 1'000);
    }
    for (const char* word : {"WARNING", "ERROR", "FATAL"})
      CHECK(log.lines(word).empty());
  }
}
