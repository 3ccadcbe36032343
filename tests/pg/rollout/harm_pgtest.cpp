#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

using std::chrono::milliseconds;

/// A session of an application's own that does the same again and again and keeps its longest wait.
class Loop {
 public:
  Loop(const TestDatabase& database, std::string sql)
      : thread_([this, &database, sql = std::move(sql)] {
          Session session(database);
          session.execute("SET application_name = 'shop'");
          while (!over_) {
            const auto begin = pq::Clock::now();
            failures_ += session.send_sql({sql}).failure() != nullptr ? 1 : 0;
            const auto took =
                std::chrono::duration_cast<milliseconds>(pq::Clock::now() - begin).count();
            worst_ = std::max<std::int64_t>(worst_, took);
            ++count_;
            std::this_thread::sleep_for(2ms);
          }
        }) {}
  ~Loop() { stop(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void stop() {
    over_ = true;
    if (thread_.joinable())
      thread_.join();
  }
  milliseconds worst() const { return milliseconds(worst_); }
  int count() const { return count_; }
  int failures() const { return failures_; }

 private:
  std::atomic<bool> over_{false};
  std::atomic<std::int64_t> worst_{0};
  std::atomic<int> count_{0};
  std::atomic<int> failures_{0};
  std::thread thread_;
};

/// What the run does to the server, seen from outside every few milliseconds.
class Watcher {
 public:
  explicit Watcher(const TestDatabase& database)
      : thread_([this, name = database.name()] {
          int held_before = 0;
          while (!over_) {
            const auto row =
                observer_
                    .rows(
                        "SELECT count(*), count(*) FILTER (WHERE a.state LIKE 'idle%' AND "
                        "clock_timestamp() - a.state_change > interval '50 ms' AND EXISTS (SELECT "
                        "1 FROM "
                        "pg_locks l WHERE l.pid = a.pid AND l.locktype IN ('relation', 'advisory', "
                        "'object'))) FROM pg_stat_activity a WHERE a.application_name = 'the run' "
                        "AND "
                        "a.datname = '" +
                        name + "'")
                    .front();
            most_ = std::max(most_.load(), std::stoi(row[0]));
            const int held = std::stoi(row[1]);
            // Twice in a row: one that begins while it is looked at is not idle any more.
            held_ = held_ || (held > 0 && held_before > 0);
            held_before = held;
            std::this_thread::sleep_for(5ms);
          }
        }) {}
  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void stop() {
    over_ = true;
    if (thread_.joinable())
      thread_.join();
  }
  int most_sessions() const { return most_; }
  bool idle_one_held_locks() const { return held_; }

 private:
  TestDatabase observer_;
  std::atomic<bool> over_{false};
  std::atomic<int> most_{0};
  std::atomic<bool> held_{false};
  std::thread thread_;
};

}  // namespace

TEST_SUITE("pg/rollout/harm") {
  TEST_CASE("others wait no longer than the lock timeout while a run meets long readers") {
    TestDatabase database;
    create_journal(database);
    const Revision first = revision(1, "CREATE TABLE a (i int)");
    RolloutBench bench(database, {Scope::tenant, {first}});
    bench.options.jobs = 4;
    const auto schemas = schema_names(100, "t");
    REQUIRE(bench.run(schemas).count(Result::applied) == 100);
    database.execute("CREATE TABLE public.calm (i int)");

    RolloutBench next(
        database, {Scope::tenant, {first, revision(2, "ALTER TABLE a ADD j int;\n" + journal(2))}});
    next.options.jobs = 3;
    next.options.worker.adapts = true;
    next.options.worker.depth = 8;
    next.options.worker.connect.application_name = "the run";
    Watcher watcher(database);
    Loop reader(database, "SELECT count(*) FROM t50.a");
    Loop writer(database, "INSERT INTO t50.a (i) VALUES (1)");
    Loop calm(database, "SELECT count(*) FROM public.calm");
    // Long readers, one after the other, in three schemas: a report, a dump.
    std::atomic<int> reports{0};
    std::thread reporter([&] {
      Session session(database);
      session.execute("SET application_name = 'shop'");
      for (int i = 0; i < 3; ++i) {
        const auto answer = session.send_sql({"BEGIN", "SELECT count(*) FROM t50.a, t20.a, t80.a",
                                              "SELECT pg_sleep(1.5)", "COMMIT"});
        reports += answer.failure() == nullptr ? 1 : 0;
        std::this_thread::sleep_for(100ms);
      }
    });
    becomes_true(database,
                 "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    const Report report = next.run(schemas);
    reporter.join();
    reader.stop();
    writer.stop();
    calm.stop();
    watcher.stop();

    for (const SchemaReport& one : report.schemas) {
      CHECK_MESSAGE(one.result == Result::applied, (one.failure ? one.failure->message : ""));
    }
    CHECK(journal_counts(database) == "100 rows, 0 doubled");
    const auto limit = next.options.migrate.lock_timeout + 200ms + calm.worst();
    CHECK(reader.count() > 20);
    CHECK(writer.count() > 20);
    CHECK(reader.worst() > 100ms);
    CHECK(reader.worst() <= limit);
    CHECK(writer.worst() <= limit);
    // No strange session was ended or cancelled.
    CHECK(reports == 3);
    CHECK(reader.failures() + writer.failures() == 0);
    CHECK_FALSE(watcher.idle_one_held_locks());
    CHECK(watcher.most_sessions() == 3);
    MESSAGE(
        fmt::format("worst wait of a reader {} ms, of a writer {} ms, of an uninvolved reader {} "
                    "ms; {} sessions at most",
                    reader.worst().count(), writer.worst().count(), calm.worst().count(),
                    watcher.most_sessions()));
  }

  TEST_CASE("however many schemas meet a lock, no more connections are open than --jobs") {
    for (const std::size_t jobs : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
      CAPTURE(jobs);
      TestDatabase database;
      const Revision first = revision(1, "CREATE TABLE a (i int)");
      RolloutBench bench(database, {Scope::tenant, {first}});
      bench.options.jobs = jobs;
      const auto schemas = schema_names(30);
      REQUIRE(bench.run(schemas).count(Result::applied) == 30);
      Session application(database);
      application.execute("BEGIN");
      for (std::size_t i = 0; i < 6; ++i)
        application.execute(fmt::format("LOCK TABLE {}.a IN ACCESS SHARE MODE", schemas[i]));

      RolloutBench next(database, {Scope::tenant, {first, revision(2, "ALTER TABLE a ADD j int")}});
      next.options.jobs = jobs;
      next.options.worker.depth = 8;
      next.options.worker.connect.application_name = "the run";
      next.options.patience.tries = 3;
      next.options.migrate.lock_timeout = 200ms;
      Watcher watcher(database);
      const Report report = next.run(schemas);
      watcher.stop();
      CHECK(report.count(Result::applied) == 24);
      CHECK(report.count(Result::busy) == 6);
      CHECK(watcher.most_sessions() == static_cast<int>(jobs));
    }
  }
}
