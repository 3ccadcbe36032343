#include "rollout/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pq/transaction.h"
#include "rollout/lock_holder.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// Jitter, so that two runs that met once do not meet again and again.
std::chrono::milliseconds around(std::chrono::milliseconds time) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> spread(time.count() / 2, time.count() * 3 / 2);
  return std::chrono::milliseconds(spread(random));
}

Failure failure_of(const std::string& message, const std::string& hint = {}) {
  return {.message = message, .hint = hint, .sqlstate = {}, .revision = {}, .place = std::nullopt};
}

}  // namespace

Job::Job(const std::string& schema, const Plan& plan, Missing missing, const Setup& setup)
    : name_(SchemaName::existing(schema)),
      full_name_(setup.full_name),
      site_(setup.site),
      group_plan_(&plan),
      plan_(&plan),
      missing_(missing),
      options_(*setup.migrate),
      replan_(*setup.replan),
      patience_(setup.patience),
      most_locks_(setup.most_locks),
      makes_room_(setup.makes_room),
      table_(name_, setup.migrate->table),
      from_(plan.from.head),
      mark_(plan.from) {
  start(plan);
}

void Job::start(const Plan& plan) {
  migrator_.emplace(name_, plan, options_);
  if (most_locks_ != nullptr) {
    migrator_->count_locks(*most_locks_);
  }
  plan_ = &plan;
  prepare();
}

void Job::prepare() {
  next_ = migrator_->next();
  state_ = State::ready;
}

bool Job::begins_work() const {
  if (!next_ || reading_ || !next_->alone) {
    return true;
  }
  const Part part = next_->origins.front().part;
  return part == Part::statement || part == Part::lock;
}

Segment Job::take(pq::Deadline now) {
  if (started_at_ == pq::Deadline{}) {
    started_at_ = now;
  }
  state_ = State::sent;
  if (reading_) {
    return read_segment();
  }
  Segment segment = std::move(*next_);
  next_.reset();
  return segment;
}

// The lock proves that no other session is at work here, so what is read is final.
Segment Job::read_segment() {
  // Only as who logged in are other sessions of the tool shown, and ended.
  const bool asks_as_login = busy_since_ && !options_.role.empty();
  Segment segment;
  segment.add({.sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}, {0, Part::begin, 0});
  segment.add({.sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
                      "pg_catalog.set_config('statement_timeout', '0', true), "
                      "pg_catalog.set_config('lock_timeout', $1, true)" +
                      pq::and_act_as(asks_as_login ? pq::login_role : options_.role, true),
               .values = {fmt::format("{}ms", options_.lock_timeout.count())}},
              {0, Part::settings, 0});
  // It was busy when it was read before.
  if (busy_since_) {
    if (orphan_.is_known()) {
      segment.add(end_orphan(orphan_), {0, Part::settings, 0});
    }
    segment.add(read_lock_holder(name_.text(), blocker_), {0, Part::settings, 0});
  }
  if (asks_as_login) {
    segment.add({.sql = "SELECT true" + pq::and_act_as(options_.role, true)},
                {0, Part::settings, 0});
  }
  segment.add(table_.lock(), {0, Part::fence, 0});
  segment.add(table_.read(history_), {0, Part::row, 0});
  segment.add({.sql = "COMMIT"}, {0, Part::commit, 0});
  return segment;
}

void Job::fold(const pq::FlightAnswer& answer, pq::Deadline now) {
  if (reading_) {
    fold_reading(answer, now);
    return;
  }
  const std::size_t before = migrator_->outcome().steps_done;
  const std::size_t repeatables_before = migrator_->outcome().repeatables_done;
  migrator_->fold(answer);
  repeatables_ +=
      static_cast<std::uint32_t>(migrator_->outcome().repeatables_done - repeatables_before);
  steps_ += static_cast<std::uint32_t>(migrator_->outcome().steps_done - before);
  mark_ = migrator_->outcome().mark;
  prepare();
  if (!next_) {
    judge(now);
  }
}

void Job::judge(pq::Deadline now) {
  const Outcome& outcome = migrator_->outcome();
  const bool cancelled = outcome.failure && outcome.failure->sqlstate == "57014";
  if (interrupted_ && cancelled) {
    finish(Result::interrupted);
    return;
  }
  switch (outcome.verdict) {
    case Verdict::open:
    case Verdict::done:
      finish(steps_ > 0 || changed_ ? Result::applied : Result::unchanged);
      break;
    case Verdict::failed:
      finish(Result::failed, outcome.failure);
      break;
    case Verdict::exhausted:
      judge_exhausted(outcome, now);
      break;
    case Verdict::contention:
      judge_contention(outcome, now);
      break;
    case Verdict::busy:
      judge_busy(outcome.failure, now);
      break;
    case Verdict::moved:
      read_again(now);
      break;
    case Verdict::refused:
      judge_refused(outcome, now);
      break;
    case Verdict::gone:
      judge_gone(now);
      break;
    case Verdict::foreign:
      finish(Result::foreign, failure_of("its version table is not ours alone",
                                         "Look at the table's owner, triggers and rules; --owner "
                                         "names roles to trust."));
      break;
  }
}

void Job::judge_exhausted(const Outcome& outcome, pq::Deadline now) {
  if (outcome.failure->sqlstate == "53200" && makes_room_ && makes_room_()) {
    judge_contention(outcome, now);
    return;
  }
  exhausted_ = outcome.failure->message;
  finish(Result::failed, outcome.failure);
}

// Nothing of it ran; with earlier steps done the plan no longer fits.
void Job::judge_refused(const Outcome& outcome, pq::Deadline now) {
  if (outcome.steps_done == 0) {
    start(*plan_);
  } else {
    read_again(now);
  }
}

void Job::judge_gone(pq::Deadline now) {
  if (missing_ == Missing::schema) {
    read_again(now);
  } else {
    finish(Result::gone);
  }
}

void Job::judge_contention(const Outcome& outcome, pq::Deadline now) {
  ++tries_;
  failure_ = outcome.failure;
  ++new_lock_waits_;
  met_lock_ = true;
  if (tries_ >= patience_.tries) {
    finish(Result::busy, outcome.failure);
    return;
  }
  // All locks are free by now (ROLLBACK), so that whoever we stood in the way of goes first.
  read_again(now + around(std::min(100ms * (1U << std::min(tries_, 5U)), 2'000ms)));
}

void Job::judge_busy(const std::optional<Failure>& failure, pq::Deadline now) {
  if (!busy_since_) {
    busy_since_ = now;
  }
  if (now - *busy_since_ >= patience_.lock_wait) {
    Failure busy = failure_of(
        fmt::format(
            "another session is migrating the schema and did not end within {} s{}",
            patience_.lock_wait / 1'000ms,
            in_doubt_ ? ", so that what a lost connection left is not known: " + loss_ : ""),
        "Wait for the other run and start again; --lock-wait gives more time.");
    if (failure) {
      busy.sqlstate = failure->sqlstate;
    }
    finish(in_doubt_ ? Result::in_doubt : Result::busy, busy);
    return;
  }
  read_again(now + around(100ms));
}

void Job::read_again(pq::Deadline at) {
  next_.reset();
  reading_ = true;
  ready_at_ = at;
  state_ = State::waiting;
}

void Job::fold_reading(const pq::FlightAnswer& answer, pq::Deadline now) {
  const pq::Answer* failure = answer.failure();
  if (failure != nullptr) {
    const auto part = failure == &answer.answers.front() ? Part::begin : Part::fence;
    judge_reading(*failure->error, verdict_of(*failure->error, part), now);
    return;
  }
  reading_ = false;
  busy_since_.reset();
  lost_readings_ = 0;
  plan_again(Missing::nothing);
}

void Job::judge_reading(const pq::ServerFields& error, Verdict verdict, pq::Deadline now) {
  if (interrupted_ && error.is("57014")) {
    finish(in_doubt_ ? Result::in_doubt : Result::interrupted);
    return;
  }
  switch (verdict) {
    case Verdict::busy:
    case Verdict::contention:
      judge_busy(std::nullopt, now);
      break;
    case Verdict::refused:
      state_ = State::ready;
      break;
    case Verdict::gone:
      judge_absence(Missing::schema);
      break;
    case Verdict::moved:
      judge_absence(Missing::table);
      break;
    case Verdict::open:
    case Verdict::done:
    case Verdict::failed:
    case Verdict::foreign:
    case Verdict::exhausted:
      finish(in_doubt_ ? Result::in_doubt : Result::failed, failure_of(error.message, error.hint));
      break;
  }
}

// The version table, or the whole schema, is not there (any more): made only if that was asked for.
void Job::judge_absence(Missing absent) {
  reading_ = false;
  const bool may_make = missing_ == Missing::schema || missing_ == absent;
  if (may_make) {
    plan_again(absent);
  } else {
    finish(absent == Missing::schema ? Result::gone : Result::unmarked);
  }
}

void Job::plan_again(Missing missing) {
  try {
    own_plan_ = replan_(history_, missing);
  } catch (const Error& error) {
    finish(Result::failed, Failure{.message = error.what(),
                                   .hint = error.hint(),
                                   .sqlstate = {},
                                   .revision = {},
                                   .place = error.place()});
    return;
  }
  // What was in doubt has happened if the schema is not where it was.
  if (in_doubt_ && own_plan_->from != mark_) {
    changed_ = true;
    const std::size_t before = mark_.count;
    const std::size_t now_there = own_plan_->from.count;
    steps_ += static_cast<std::uint32_t>(std::max(before, now_there) - std::min(before, now_there));
  }
  in_doubt_ = false;
  mark_ = own_plan_->from;
  start(*own_plan_);
  if (!next_) {
    judge({});
  } else if (losses_ >= patience_.losses) {
    // It may be the revision itself that ends the connection.
    finish(Result::failed,
           failure_of(fmt::format("the connection was lost {} times: {}", losses_, loss_),
                      "Look into the server's log, then run the command again."));
  }
}

void Job::lose(const Loss& loss, Lost lost, pq::Deadline now) {
  orphan_ = loss.backend;
  loss_ = loss.why;
  if (lost == Lost::nothing) {
    // The session lock went with the connection, and a row may say `running`.
    read_again(now);
    return;
  }
  // A reading changes nothing, so that losing it adds no doubt.
  in_doubt_ = in_doubt_ || !reading_;
  const std::uint32_t counts = lost == Lost::at_server ? 1 : 0;
  (reading_ ? lost_readings_ : losses_) += counts;
  if (reading_ && lost_readings_ >= patience_.losses) {
    finish(in_doubt_ ? Result::in_doubt : Result::failed,
           failure_of(loss.why, "Run the command again: it reads where the schema stands."));
    return;
  }
  read_again(now);
}

void Job::stop(pq::Deadline now) {
  migrator_->stop();
  prepare();
  if (!next_) {
    judge(now);
  }
}

void Job::give_up(Result result, const std::string& why) {
  const bool unsettled = in_doubt_ && (state_ == State::waiting || state_ == State::sent);
  // It was started, and met a lock: that is what its people need to know.
  if (!unsettled && result == Result::not_started && met_lock_) {
    finish(Result::busy, failure_);
    return;
  }
  // It had a connection on the way to it, and nothing more.
  const bool is_untouched = result == Result::interrupted && started_at_ == pq::Deadline{};
  if (is_untouched) {
    result = Result::not_started;
  }
  finish(unsettled ? Result::in_doubt : result,
         why.empty() ? std::nullopt : std::optional(failure_of(why)));
}

void Job::give_up_unreachable(const std::string& why, const std::string& sqlstate) {
  // Dropped while the run went on, with everything in it.
  constexpr std::string_view no_such_database = "3D000";
  if (sqlstate == no_such_database) {
    finish(Result::gone);
    return;
  }
  Failure failure = failure_of(why, "The other databases go on; run the command again for this.");
  failure.sqlstate = sqlstate;
  finish(in_doubt_ ? Result::in_doubt : Result::unavailable, failure);
}

void Job::finish(Result result, std::optional<Failure> failure) {
  result_ = result;
  failure_ = std::move(failure);
  state_ = State::over;
  next_.reset();
}

SchemaReport Job::report(pq::Deadline now) const {
  SchemaReport report;
  report.schema = schema();
  report.result = result_;
  report.from = from_;
  report.revision = mark_.head;
  report.steps = steps_;
  report.repeatables = repeatables_;
  report.tries = tries_ + losses_ + lost_readings_;
  if (started_at_ != pq::Deadline{}) {
    report.duration = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_at_);
  }
  if (blocker_ && (result_ == Result::busy || result_ == Result::in_doubt)) {
    report.blocker = std::make_unique<Blocker>(*blocker_);
  }
  if (failure_) {
    report.failure = std::make_unique<Failure>(*failure_);
  }
  return report;
}

}  // namespace tenantctl
