#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "rollout/sizing.h"
#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// Keeps what it was warned of.
class Listener final : public Observer {
 public:
  void started(const Progress& /*progress*/) override {}
  void warned(const std::string& message) override { warnings.push_back(message); }
  void finished(const SchemaReport& /*schema*/, const Progress& /*progress*/) override {}
  void tick(const Progress& /*progress*/) override {}
  void ended(const Report& /*report*/) override {}

  std::vector<std::string> warnings;
};

// Each table takes at least two locks: its own and its key's.
RevisionFolder many_tables(int count) {
  std::string sql = "SELECT pg_sleep(0.1);\n";
  for (int i = 0; i < count; ++i)
    sql += fmt::format("CREATE TABLE a{} (i int PRIMARY KEY);\n", i);
  return {Scope::tenant, {revision(1, sql + "SELECT pg_sleep(0.1);\n" + journal(1))}};
}

/// Counts how many sessions are in a revision's pg_sleep at the same time, while it lives.
class Sampler {
 public:
  explicit Sampler(const std::string& database_name)
      : name_(database_name), thread_([this] {
          while (!over_) {
            const int now = std::stoi(
                observer_.value("SELECT count(*) FROM pg_stat_activity WHERE datname = '" + name_ +
                                "' AND wait_event = 'PgSleep'"));
            most_ = std::max(most_.load(), now);
            std::this_thread::sleep_for(10ms);
          }
        }) {}
  ~Sampler() {
    over_ = true;
    thread_.join();
  }
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  int most() const { return most_; }

 private:
  TestDatabase observer_;
  std::string name_;
  std::atomic<bool> over_{false};
  std::atomic<int> most_{0};
  std::thread thread_;
};

/// Fills the server's lock table but for about so many slots; `database`'s session holds the locks.
void fill_locks(TestDatabase& database, int but) {
  database.execute(
      "DO $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM pg_advisory_lock(77, i); END LOOP; "
      "EXCEPTION WHEN out_of_memory THEN NULL; END $$");
  database.execute(
      fmt::format("SELECT pg_advisory_unlock(77, i) FROM generate_series(1, {}) AS i", but));
}

void free_locks(TestDatabase& database) { database.execute("SELECT pg_advisory_unlock_all()"); }

}  // namespace

TEST_SUITE("pg/rollout/locks") {
  TEST_CASE("the server says how many locks it has room for and how many are taken") {
    TestDatabase database;
    Session session(database);
    const ServerRoom before = read_room(session.pipeline(), soon());
    CHECK(before.lock_slots ==
          std::stoul(database.value("SELECT current_setting('max_locks_per_transaction')::int * "
                                    "(current_setting('max_connections')::int + "
                                    "current_setting('max_prepared_transactions')::int)")));
    database.execute("SELECT pg_advisory_lock(78, i) FROM generate_series(1, 500) AS i");
    CHECK(read_room(session.pipeline(), soon()).locks >= before.locks + 400);
    free_locks(database);
  }

  TEST_CASE("where schemas would fill the lock table fewer of them run at a time") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, many_tables(50));
    bench.options.jobs = 4;
    bench.options.room = ServerRoom{.max_connections = 97, .connections = 1, .lock_slots = 600};
    Listener listener;
    bench.observer = &listener;
    int most = 0;
    Report report;
    {
      Sampler sampler(database.name());
      report = bench.run(schema_names(8));
      most = sampler.most();
    }
    CHECK(report.count(Result::applied) == 8);
    CHECK(journal_counts(database) == "8 rows, 0 doubled");
    CHECK(most >= 1);
    CHECK(most <= 2);
    REQUIRE(listener.warnings.size() == 1);
    CHECK(listener.warnings[0].find("a schema takes 1") != std::string::npos);
    CHECK(listener.warnings[0].find("has room for 600") != std::string::npos);
  }

  TEST_CASE("where there is room enough nothing is said, and all connections work") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, many_tables(3));
    bench.options.jobs = 4;
    bench.options.room = ServerRoom{.max_connections = 97, .connections = 1, .lock_slots = 6'400};
    Listener listener;
    bench.observer = &listener;
    int most = 0;
    {
      Sampler sampler(database.name());
      CHECK(bench.run(schema_names(12)).count(Result::applied) == 12);
      most = sampler.most();
    }
    CHECK(most >= 3);
    CHECK(listener.warnings.empty());
  }

  TEST_CASE("a lock table that is full for several is tried again with fewer") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, many_tables(100));
    bench.options.jobs = 4;
    Listener listener;
    bench.observer = &listener;
    fill_locks(database, 500);
    const Report report = bench.run(schema_names(6));
    free_locks(database);
    for (const SchemaReport& one : report.schemas) {
      CHECK_MESSAGE(one.result == Result::applied, (one.failure ? one.failure->message : ""));
    }
    CHECK(report.stopped_by == "");
    CHECK(journal_counts(database) == "6 rows, 0 doubled");
    REQUIRE_FALSE(listener.warnings.empty());
    CHECK(listener.warnings[0].find("the server's lock table is full") == 0);
  }

  TEST_CASE("a lock table that is full for one schema stops the run, and nothing is half") {
    TestDatabase database;
    create_journal(database);
    RolloutBench bench(database, many_tables(250));
    bench.options.jobs = 2;
    bench.options.room =
        ServerRoom{.max_connections = 97, .connections = 1, .lock_slots = 6'400, .locks = 5'900};
    fill_locks(database, 500);
    const Report report = bench.run(schema_names(6));
    free_locks(database);
    CHECK(report.count(Result::applied) == 0);
    CHECK(report.count(Result::not_started) >= 3);
    CHECK(report.stopped_by.find("the server ran out of room") == 0);
    CHECK(report.stopped_by.find("room for 6400 locks") != std::string::npos);
    CHECK(journal_counts(database) == "0 rows, 0 doubled");
    CHECK(database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't0%'") == "0");
    CHECK(bench.run(schema_names(6)).count(Result::applied) == 6);
  }
}
