#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/journal.h"
#include "support/rollout_bench.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// A schema with a table in use, and a revision behind it that works on an index of it.
struct Indexed {
  explicit Indexed(const std::string& statement)
      : session(database),
        folder(Scope::tenant,
               {revision(1,
                         "CREATE TABLE t (a int, b int);\n"
                         "INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;\n"
                         "CREATE INDEX ready ON t (b)"),
                autocommit_revision(2, statement)}),
        steps{session, folder} {
    REQUIRE(steps.fresh("1").verdict == Verdict::done);
    steps.options.concurrent_lock_timeout = 20s;
  }

  // Somebody writes, and does not come to an end: CREATE INDEX CONCURRENTLY has to wait.
  void write() {
    writer.execute("BEGIN");
    writer.execute("INSERT INTO one.t VALUES (1000, 1000)");
  }

  // Runs `harm` against the backend that waits for the writer.
  void when_it_waits(const std::function<void(const std::string& pid)>& harm) {
    const std::string pid =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE "
        "'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'";
    REQUIRE(becomes_true(database, "SELECT EXISTS (" + pid + ")"));
    harm(database.value(pid));
  }

  std::string invalid() {
    return database.value(
        "SELECT coalesce(string_agg(c.relname, ' ' ORDER BY c.relname), '') FROM pg_index i JOIN "
        "pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid");
  }
  std::string state() {
    return database.value("SELECT state FROM one.tenantctl_version WHERE position = 2");
  }
  void ends_well() {
    Session other(database);
    const Outcome outcome = Steps{other, folder}.upgrade();
    CHECK_MESSAGE(outcome.verdict == Verdict::done,
                  (outcome.failure ? outcome.failure->message : ""));
    CHECK(state() == "applied");
    CHECK(is_same(other.history("one"), history_of(folder, 2)));
  }

  TestDatabase database;
  Session session;
  Session writer{database};
  RevisionFolder folder;
  Steps steps;
};

const std::string build = "CREATE INDEX CONCURRENTLY i ON t (a)";

}  // namespace

TEST_SUITE("pg/migrate/concurrent_index") {
  TEST_CASE("an index whose build was cancelled or terminated is never applied, and built again") {
    for (const std::string how : {"pg_cancel_backend", "pg_terminate_backend"}) {
      CAPTURE(how);
      Indexed indexed(build);
      indexed.write();
      std::thread other([&] {
        indexed.when_it_waits([&](const std::string& pid) {
          indexed.database.execute(fmt::format("SELECT {}({})", how, pid));
        });
      });
      if (how == "pg_cancel_backend") {
        CHECK(indexed.steps.upgrade().failure->sqlstate == "57014");
      } else {
        CHECK_THROWS_AS(indexed.steps.upgrade(), pq::ConnectionLost);
      }
      other.join();
      CHECK(indexed.invalid() == "i");
      CHECK(indexed.state() == "running");
      indexed.writer.execute("COMMIT");
      indexed.ends_well();
      CHECK(indexed.invalid() == "");
    }
  }

  TEST_CASE("an index that met a lock for too long is never applied, and built again") {
    Indexed indexed(build);
    // Of somebody else, on the same table, and meant to be as it is.
    indexed.database.execute(
        "CREATE INDEX theirs ON one.t (b); UPDATE pg_index SET indisvalid = false WHERE "
        "indexrelid = 'one.theirs'::regclass");
    indexed.write();
    indexed.steps.options.concurrent_lock_timeout = 200ms;
    const Outcome outcome = indexed.steps.upgrade();
    CHECK(outcome.verdict == Verdict::contention);
    CHECK(outcome.failure->sqlstate == "55P03");
    CHECK(indexed.invalid() == "i theirs");
    CHECK(indexed.state() == "running");
    indexed.writer.execute("COMMIT");
    indexed.ends_well();
    CHECK(indexed.invalid() == "theirs");
  }

  TEST_CASE("the lock timeout of transactions does not end a build that waits for a writer") {
    Indexed indexed(build);
    indexed.write();
    indexed.steps.options.lock_timeout = 50ms;
    std::thread other([&] {
      indexed.when_it_waits([&](const std::string& /*pid*/) {
        std::this_thread::sleep_for(400ms);
        indexed.writer.execute("COMMIT");
      });
    });
    CHECK(indexed.steps.upgrade().verdict == Verdict::done);
    other.join();
    CHECK(indexed.invalid() == "");
  }

  TEST_CASE("a unique index over doubled values is never applied, and built when they are gone") {
    Indexed indexed("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)");
    indexed.database.execute("INSERT INTO one.t VALUES (1, 1)");
    for (int i = 0; i < 2; ++i) {
      const Outcome outcome = indexed.steps.upgrade();
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.failure->sqlstate == "23505");
      CHECK(indexed.invalid() == "i");
      CHECK(indexed.state() == "running");
    }
    indexed.database.execute("DELETE FROM one.t WHERE a = 1 AND b = 1");
    indexed.ends_well();
    CHECK(indexed.invalid() == "");
  }

  TEST_CASE("the victim of a deadlock is built again") {
    Indexed indexed(build);
    indexed.database.execute("ALTER DATABASE " + indexed.database.name() +
                             " SET deadlock_timeout = '100ms'");
    // The build waits for the writer, who then waits for it. Only the build looks for deadlocks.
    indexed.writer.execute("SET deadlock_timeout = '1min'");
    indexed.write();
    Session hurried(indexed.database);
    std::thread other([&] {
      indexed.when_it_waits([&](const std::string& /*pid*/) {
        indexed.writer.execute("LOCK TABLE one.t IN SHARE UPDATE EXCLUSIVE MODE");
        indexed.writer.execute("COMMIT");
      });
    });
    Steps steps{hurried, indexed.folder};
    steps.options.concurrent_lock_timeout = 20s;
    const Outcome outcome = steps.upgrade();
    other.join();
    CHECK(outcome.verdict == Verdict::contention);
    CHECK(outcome.failure->sqlstate == "40P01");
    CHECK(indexed.invalid() == "i");
    CHECK(indexed.state() == "running");
    indexed.ends_well();
    CHECK(indexed.invalid() == "");
  }

  // The server says yes to it: the name is there.
  TEST_CASE("IF NOT EXISTS does not pass an index off that an earlier try left invalid") {
    Indexed indexed("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)");
    indexed.write();
    indexed.steps.options.concurrent_lock_timeout = 200ms;
    CHECK(indexed.steps.upgrade().verdict == Verdict::contention);
    CHECK(indexed.invalid() == "i");
    indexed.writer.execute("COMMIT");
    indexed.ends_well();
    CHECK(indexed.invalid() == "");
  }

  TEST_CASE("DROP INDEX CONCURRENTLY that stopped half-way is finished") {
    Indexed indexed("DROP INDEX CONCURRENTLY ready");
    indexed.writer.execute("BEGIN");
    indexed.writer.execute("SELECT count(*) FROM one.t");
    indexed.steps.options.concurrent_lock_timeout = 200ms;
    CHECK(indexed.steps.upgrade().verdict == Verdict::contention);
    CHECK(indexed.invalid() == "ready");
    CHECK(indexed.state() == "running");
    indexed.writer.execute("COMMIT");
    indexed.ends_well();
    CHECK(indexed.database.value("SELECT to_regclass('one.ready') IS NULL") == "t");
  }
}
