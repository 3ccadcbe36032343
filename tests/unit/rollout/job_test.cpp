#include "rollout/job.h"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// A job for the schema acme with a server and a clock that a test turns by hand.
class Run {
 public:
  explicit Run(const History& history = {}, Missing missing = Missing::nothing,
               RevisionFolder revisions = folder_of({1, 2}), Patience patience = {})
      : folder(std::move(revisions)),
        replan([this](const History& now_rows, Missing now_missing) {
          ++replans;
          return plan_upgrade(folder, now_rows, Target::head(),
                              {.allow_out_of_order = false, .missing = now_missing});
        }),
        plan(plan_upgrade(folder, history, Target::head(),
                          {.allow_out_of_order = false, .missing = missing})),
        job("acme", plan, missing, {.migrate = &options, .replan = &replan, .patience = patience}) {
  }

  // The server agrees to the next segment.
  void agree() {
    const Segment segment = job.take(now);
    job.fold(agreement(segment), now);
  }

  // The server refuses it at its first message for `part`.
  void refuse(Part part, const pq::ServerFields& error) {
    const Segment segment = job.take(now);
    job.fold(rejection(segment, part, error), now);
  }
  void refuse(Part part, std::string_view sqlstate) { refuse(part, server_error(sqlstate)); }

  // The job's time comes, and it reads these rows under the lock.
  void read(const History& rows) {
    wait();
    const Segment segment = job.take(now);
    // In front of COMMIT, and behind the question for the holder if it was busy.
    REQUIRE(segment.messages.size() >= 5);
    const pq::Message& reading = segment.messages[segment.messages.size() - 2];
    REQUIRE(reading.on_row);
    send_rows(reading, rows);
    job.fold(agreement(segment), now);
  }

  // The connection is lost while a segment is under way.
  void lose() {
    static_cast<void>(job.take(now));
    job.lose({.why = "server closed the connection", .backend = {}}, Job::Lost::at_server, now);
  }

  void wait() {
    REQUIRE(job.state() == Job::State::waiting);
    now = std::max(now, job.ready_at());
    job.wake();
  }

  History rows(std::size_t count) const { return history_of(folder, count); }
  Result result() const {
    REQUIRE(job.state() == Job::State::over);
    return job.report(now).result;
  }
  Failure failure() const {
    const SchemaReport report = job.report(now);
    REQUIRE(report.failure != nullptr);
    return *report.failure;
  }

  RevisionFolder folder;
  MigrateOptions options;
  int replans = 0;
  Replan replan;
  Plan plan;
  Job job;
  pq::Deadline now{1h};
};

constexpr const char* vacuum = "-- migrate:up transaction:false\nVACUUM a;\n";

RevisionFolder outside() { return {Scope::tenant, {revision_of(1, vacuum)}}; }

}  // namespace

TEST_SUITE("rollout/job") {
  TEST_CASE("a schema goes along its plan and reports") {
    Run run;
    CHECK(run.job.state() == Job::State::ready);
    CHECK(run.job.begins_work());
    const Segment segment = run.job.take(run.now);
    CHECK(run.job.state() == Job::State::sent);
    CHECK(run.job.started_at() == run.now);
    run.now += 1500ms;
    run.job.fold(agreement(segment), run.now);
    const SchemaReport report = run.job.report(run.now);
    CHECK(report.schema == "acme");
    CHECK(report.result == Result::applied);
    CHECK(report.revision == 2);
    CHECK(report.steps == 2);
    CHECK(report.tries == 0);
    CHECK(report.duration == 1500ms);
    CHECK(report.failure == nullptr);
  }

  TEST_CASE("a job that never began has no duration") {
    Run run;
    run.job.give_up(Result::not_started, "");
    CHECK(run.result() == Result::not_started);
    CHECK(run.job.report(run.now).duration == 0ms);
    CHECK(run.job.report(run.now).failure == nullptr);
  }

  TEST_CASE("a failed revision ends it where it stands") {
    Run run;
    run.refuse(Part::statement, server_error("42P01", "no table"));
    CHECK(run.result() == Result::failed);
    CHECK(run.failure().revision == "0001_r1");
    CHECK(run.job.report(run.now).revision == 0);
    CHECK(run.job.exhausted().empty());
  }

  TEST_CASE("a server without room ends it and tells the rollout") {
    Run run;
    run.refuse(Part::statement, server_error("53100", "disk full"));
    CHECK(run.result() == Result::failed);
    CHECK(run.job.exhausted().ends_with("disk full"));
  }

  TEST_CASE("a foreign hand is left alone") {
    Run run;
    run.refuse(Part::fence, refusal::foreign);
    CHECK(run.result() == Result::foreign);
    CHECK_FALSE(run.failure().hint.empty());
  }

  TEST_CASE("a lock is tried again after a pause that grows, from what the rows say then") {
    Run run;
    std::vector<std::chrono::milliseconds> pauses;
    for (int i = 0; i < 7; ++i) {
      run.refuse(Part::statement, "55P03");
      REQUIRE(run.job.state() == Job::State::waiting);
      pauses.push_back(
          std::chrono::duration_cast<std::chrono::milliseconds>(run.job.ready_at() - run.now));
      run.read({});
      CHECK(run.job.state() == Job::State::ready);
    }
    CHECK(pauses[0] >= 100ms);
    CHECK(pauses[0] <= 300ms);
    CHECK(pauses[3] >= 800ms);
    CHECK(pauses[6] >= 1000ms);
    CHECK(pauses[6] <= 3000ms);
    CHECK(run.replans == 7);
    run.refuse(Part::statement, "55P03");
    CHECK(run.result() == Result::busy);
    CHECK(run.failure().sqlstate == "55P03");
    CHECK(run.job.report(run.now).tries == 8);
  }

  TEST_CASE("a schema that got through at the second try is applied") {
    Run run;
    run.refuse(Part::statement, "40P01");
    run.read({});
    run.agree();
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).tries == 1);
    CHECK(run.job.report(run.now).steps == 2);
  }

  TEST_CASE("what committed before a deadlock is not done twice") {
    Run run;
    const Segment segment = run.job.take(run.now);
    std::size_t second = segment.messages.size();
    while (segment.origins.at(--second).part != Part::statement) {
    }
    run.job.fold(rejection(segment, second, server_error("40P01")), run.now);
    run.read(run.rows(1));
    run.agree();
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).steps == 2);
    CHECK(run.job.report(run.now).revision == 2);
  }

  TEST_CASE("another run is waited for, but not for ever") {
    Run run({}, Missing::nothing, folder_of({1, 2}), {.lock_wait = 2s});
    run.refuse(Part::fence, refusal::busy);
    const auto begin = run.now;
    while (run.job.state() == Job::State::waiting) {
      REQUIRE(run.now - begin < 10s);
      run.wait();
      run.refuse(Part::fence, refusal::busy);
    }
    CHECK(run.result() == Result::busy);
    CHECK(run.now - begin >= 2s);
    CHECK(run.now - begin < 3s);
    CHECK(run.failure().message ==
          "another session is migrating the schema and did not end within 2 s");
  }

  TEST_CASE("a busy schema that another run has finished is unchanged") {
    Run run;
    run.refuse(Part::fence, refusal::busy);
    run.wait();
    run.refuse(Part::fence, refusal::busy);
    run.read(run.rows(2));
    CHECK(run.result() == Result::unchanged);
    CHECK(run.job.report(run.now).revision == 2);
    CHECK(run.job.report(run.now).steps == 0);
  }

  TEST_CASE("patience with another run begins anew once its lock was had") {
    Run run({}, Missing::nothing, folder_of({1, 2}), {.lock_wait = 1s});
    run.refuse(Part::fence, refusal::busy);
    run.now += 900ms;
    run.read({});
    run.now += 900ms;
    run.refuse(Part::fence, refusal::busy);
    CHECK(run.job.state() == Job::State::waiting);
  }

  TEST_CASE("a schema that has moved is read at once and planned again") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    CHECK(run.job.state() == Job::State::waiting);
    CHECK(run.job.ready_at() == run.now);
    CHECK(run.job.begins_work());
    run.read(run.rows(1));
    CHECK(run.replans == 1);
    run.agree();
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).steps == 1);
  }

  TEST_CASE("the reading is done under the schema's lock") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    const Segment segment = run.job.take(run.now);
    CHECK_FALSE(segment.alone);
    CHECK(segment.messages[0].sql.starts_with("BEGIN"));
    CHECK(segment.messages[2].sql.find("pg_try_advisory_xact_lock") != std::string::npos);
    CHECK(segment.messages[3].sql.starts_with("SELECT v.position"));
    CHECK(segment.messages[4].sql == "COMMIT");
  }

  TEST_CASE("a history that no longer fits ends it") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    History odd = run.rows(2);
    odd[0].digest = "x";
    run.read(odd);
    CHECK(run.result() == Result::failed);
    CHECK(run.failure().message == "the version table does not add up at revision 0001_r1");
  }

  TEST_CASE("a segment behind a failed one is sent again as it was") {
    Run run;
    run.refuse(Part::begin, "25P02");
    CHECK(run.job.state() == Job::State::ready);
    CHECK(run.replans == 0);
    run.agree();
    CHECK(run.result() == Result::applied);
  }

  TEST_CASE("a reading behind a failed segment is sent again") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    run.refuse(Part::begin, "25P02");
    CHECK(run.job.state() == Job::State::ready);
    const Segment segment = run.job.take(run.now);
    CHECK(segment.messages.size() == 5);
  }

  TEST_CASE("a schema that was dropped meanwhile is gone") {
    Run run;
    run.refuse(Part::fence, refusal::gone);
    CHECK(run.result() == Result::gone);
    Run later;
    later.refuse(Part::fence, refusal::moved);
    later.wait();
    later.refuse(Part::fence, refusal::gone);
    CHECK(later.result() == Result::gone);
  }

  TEST_CASE("a version table that was dropped meanwhile leaves the schema unmarked") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    run.refuse(Part::row, "42P01");
    CHECK(run.result() == Result::unmarked);
  }

  TEST_CASE("a schema that is to be made and is gone again is made") {
    Run run({}, Missing::schema);
    run.refuse(Part::install, "42P06");
    run.wait();
    run.refuse(Part::fence, refusal::gone);
    REQUIRE(run.job.state() == Job::State::ready);
    const Segment segment = run.job.take(run.now);
    CHECK(segment.messages[index_of(segment, Part::install)].sql == "CREATE SCHEMA \"acme\"");
  }

  TEST_CASE("a table that is to be made in a schema that is gone: gone") {
    Run run({}, Missing::table);
    run.refuse(Part::fence, refusal::gone);
    CHECK(run.result() == Result::gone);
    Run later({}, Missing::table);
    later.refuse(Part::fence, refusal::moved);
    later.wait();
    later.refuse(Part::fence, refusal::gone);
    CHECK(later.result() == Result::gone);
  }

  TEST_CASE("whoever made the schema first, the rest is done here") {
    Run run({}, Missing::schema);
    run.refuse(Part::install, "42P06");
    run.read(run.rows(1));
    const Segment segment = run.job.take(run.now);
    CHECK_THROWS(index_of(segment, Part::install));
    run.job.fold(agreement(segment), run.now);
    CHECK(run.result() == Result::applied);
  }

  TEST_CASE("a reading that fails otherwise ends it") {
    Run run;
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    run.refuse(Part::row, server_error("42501", "permission denied"));
    CHECK(run.result() == Result::failed);
    CHECK(run.failure().message == "permission denied");
  }

  TEST_CASE("a reading that meets a lock has the same patience") {
    Run run({}, Missing::nothing, folder_of({1}), {.lock_wait = 1s});
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    run.refuse(Part::row, "55P03");
    REQUIRE(run.job.state() == Job::State::waiting);
    run.wait();
    run.now += 2s;
    run.refuse(Part::row, "55P03");
    CHECK(run.result() == Result::busy);
  }
}

TEST_SUITE("rollout/job/lost") {
  TEST_CASE("a lost COMMIT that had happened is settled by reading") {
    Run run;
    run.lose();
    CHECK(run.job.state() == Job::State::waiting);
    CHECK(run.job.is_unsettled());
    run.read(run.rows(2));
    CHECK_FALSE(run.job.is_unsettled());
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).revision == 2);
    CHECK(run.job.report(run.now).tries == 1);
  }

  TEST_CASE("a lost COMMIT that had not happened is done again") {
    Run run;
    run.lose();
    run.read({});
    CHECK(run.job.state() == Job::State::ready);
    run.agree();
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).steps == 2);
  }

  TEST_CASE("part of what was lost may have happened") {
    Run run;
    run.lose();
    run.read(run.rows(1));
    run.agree();
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).revision == 2);
  }

  TEST_CASE("too many lost readings leave it in doubt") {
    Run run;
    run.lose();
    for (int i = 0; i < 3; ++i) {
      run.wait();
      run.lose();
    }
    CHECK(run.result() == Result::in_doubt);
    CHECK(run.failure().message == "server closed the connection");
    CHECK(run.job.report(run.now).tries == 4);
  }

  TEST_CASE("what loses its connection each time is settled all the same, and failed") {
    Run run;
    for (int i = 0; i < 3; ++i) {
      run.lose();
      CHECK(run.job.is_unsettled());
      run.read({});
    }
    CHECK(run.result() == Result::failed);
    CHECK(run.failure().message == "the connection was lost 3 times: server closed the connection");
  }

  TEST_CASE("a loss at another schema's segment is not counted, but settled") {
    Run run;
    for (int i = 0; i < 5; ++i) {
      static_cast<void>(run.job.take(run.now));
      run.job.lose({.why = "gone", .backend = {}}, Job::Lost::in_flight, run.now);
      CHECK(run.job.is_unsettled());
      run.read({});
    }
    run.agree();
    CHECK(run.result() == Result::applied);
  }

  TEST_CASE("revisions that a lost answer confirmed are counted") {
    Run run;
    run.lose();
    run.read(run.rows(2));
    CHECK(run.job.report(run.now).steps == 2);
  }

  TEST_CASE("a lost session that may hold the lock is ended, by pid and start, when it is met") {
    Run run;
    static_cast<void>(run.job.take(run.now));
    run.job.lose({.why = "gone", .backend = {.pid = 7, .started = 11}}, Job::Lost::at_server,
                 run.now);
    run.wait();
    const Segment first = run.job.take(run.now);
    CHECK(first.messages.size() == 5);
    run.job.fold(rejection(first, Part::fence, server_error(refusal::busy)), run.now);
    run.wait();
    const Segment second = run.job.take(run.now);
    REQUIRE(second.messages.size() == 7);
    CHECK(second.messages[2].sql.find("pg_terminate_backend") != std::string::npos);
    CHECK(second.messages[2].values == std::vector<std::optional<std::string>>{"7", "11"});
  }

  TEST_CASE("what is in doubt stays so when time is up") {
    Run run;
    run.lose();
    run.job.give_up(Result::not_started, "no connection");
    CHECK(run.result() == Result::in_doubt);
    CHECK(run.failure().message == "no connection");
  }

  TEST_CASE("what is settled and waits for a lock is not in doubt") {
    Run run;
    run.lose();
    run.read({});
    run.refuse(Part::statement, "55P03");
    run.job.give_up(Result::interrupted, "");
    CHECK(run.result() == Result::interrupted);
  }

  TEST_CASE("what is in doubt and stays locked by another run is in doubt") {
    Run run({}, Missing::nothing, folder_of({1}), {.lock_wait = 0ms});
    run.lose();
    run.wait();
    run.refuse(Part::fence, refusal::busy);
    CHECK(run.result() == Result::in_doubt);
  }

  TEST_CASE("what is in doubt and cannot be read is in doubt") {
    Run run;
    run.lose();
    run.wait();
    run.refuse(Part::row, server_error("53200", "out of memory"));
    CHECK(run.result() == Result::in_doubt);
    CHECK(run.failure().message == "out of memory");
  }

  TEST_CASE("what is in doubt and whose reading we cancel is in doubt") {
    Run run;
    run.lose();
    run.job.interrupt();
    run.wait();
    run.refuse(Part::row, "57014");
    CHECK(run.result() == Result::in_doubt);
  }

  TEST_CASE("a reading that is lost puts nothing in doubt") {
    Run run({}, Missing::nothing, folder_of({1}), {.losses = 1});
    run.refuse(Part::fence, refusal::moved);
    run.wait();
    run.lose();
    CHECK(run.job.state() == Job::State::over);
    CHECK(run.result() != Result::in_doubt);
  }

  TEST_CASE("a cancel of ours is no failure, one of another's is") {
    Run ours;
    ours.job.interrupt();
    ours.refuse(Part::statement, "57014");
    CHECK(ours.result() == Result::interrupted);
    Run theirs;
    theirs.refuse(Part::statement, "57014");
    CHECK(theirs.result() == Result::failed);
    Run reading;
    reading.refuse(Part::fence, refusal::moved);
    reading.job.interrupt();
    reading.wait();
    reading.refuse(Part::row, "57014");
    CHECK(reading.result() == Result::interrupted);
  }

  TEST_CASE("an interrupted schema that got through is applied all the same") {
    Run run;
    const Segment segment = run.job.take(run.now);
    run.job.interrupt();
    run.job.fold(agreement(segment), run.now);
    CHECK(run.result() == Result::applied);
  }
}

TEST_SUITE("rollout/job/outside") {
  TEST_CASE("work outside a transaction holds the connection until its lock is let go") {
    Run run({}, Missing::nothing, outside());
    CHECK(run.job.is_alone());
    int segments = 0;
    while (run.job.state() == Job::State::ready) {
      CHECK(run.job.holds_connection());
      CHECK_FALSE(run.job.leaves_traces());
      run.agree();
      ++segments;
    }
    CHECK(segments == 6);
    CHECK_FALSE(run.job.holds_connection());
    CHECK(run.result() == Result::applied);
    CHECK(run.job.report(run.now).steps == 1);
  }

  TEST_CASE("its lock and statements begin work, its bookkeeping does not") {
    Run run({}, Missing::nothing, outside());
    std::vector<bool> begins;
    while (run.job.state() == Job::State::ready) {
      begins.push_back(run.job.begins_work());
      run.agree();
    }
    CHECK(begins == std::vector<bool>{true, false, true, false, false, false});
  }

  TEST_CASE("a holder that loses its connection between segments reads again") {
    Run run({}, Missing::nothing, outside());
    run.agree();
    run.job.lose({.why = "gone", .backend = {}}, Job::Lost::nothing, run.now);
    CHECK(run.job.state() == Job::State::waiting);
    CHECK_FALSE(run.job.is_unsettled());
    run.read(run.rows(1));
    CHECK(run.result() == Result::unchanged);
  }

  TEST_CASE("a statement whose answer was lost is a person's to decide") {
    const RevisionFolder folder(
        Scope::tenant, {revision_of(1,
                                    "-- migrate:up transaction:false\nINSERT INTO a DEFAULT "
                                    "VALUES;\n")});
    Run run({}, Missing::nothing, folder);
    run.agree();
    run.agree();
    run.lose();
    History rows = run.rows(1);
    rows[0].state = RowState::running;
    rows[0].statement_digest = statements_digest(folder.revisions().front().up, 0);
    run.read(rows);
    CHECK(run.result() == Result::failed);
    CHECK(run.failure().message.starts_with("revision 0001_r1 was interrupted at its statement 1"));
  }
}
