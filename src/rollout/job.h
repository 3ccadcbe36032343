#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "migrate/migrator.h"
#include "pq/connection.h"
#include "rollout/backend.h"
#include "rollout/report.h"

namespace tenantctl {

/// Plans again for a schema whose rows were read again: from what they say now. Throws
/// HistoryError.
using Replan = std::function<Plan(const History& history, Missing missing)>;

/// How long a schema is tried.
struct Patience {
  std::chrono::milliseconds lock_wait{30'000};  ///< for another session that migrates the schema
  std::uint32_t tries = 8;   ///< for lock timeouts, deadlocks and the like, with growing pauses
  std::uint32_t losses = 3;  ///< lost connections; after them it is only read where the schema is
};

/// One schema in a rollout, over all its attempts: migrates by the group's plan, and where the
/// schema was busy, had moved, or the connection was lost, waits with no transaction open, reads
/// the rows under the schema's lock and plans again. So a COMMIT whose answer was lost is settled
/// by reading, and two runs at once share the work.
///
/// Knows no connection; the worker sends what next() gives. The plan, options and replan function
/// must outlive it.
class Job {
 public:
  struct Setup {
    const MigrateOptions* migrate = nullptr;
    const Replan* replan = nullptr;
    Patience patience;
    std::size_t* most_locks = nullptr;  ///< asked for, see Migrator::count_locks()
    /// The lock table is full: may it be tried again because fewer schemas will be under way?
    std::function<bool()> makes_room = {};
    std::uint32_t site = 0;      ///< where the schema lives; 0: in the run's own database
    std::string full_name = {};  ///< what reports call it, if not by its own name
  };

  Job(const std::string& schema, const Plan& plan, Missing missing, const Setup& setup);

  enum class State {
    ready,    ///< take() has a segment
    sent,     ///< its answer is awaited
    waiting,  ///< until ready_at()
    over      ///< report() is final
  };
  State state() const { return state_; }
  pq::Deadline ready_at() const { return ready_at_; }

  /// The next segment; the state is `sent` from then on. Only when ready.
  Segment take(pq::Deadline now);
  /// The segment that take() would give runs a statement of the user's or is the first of a plan.
  bool begins_work() const;
  /// The segment must have the connection for itself.
  bool is_alone() const { return next_ && next_->alone; }
  /// More segments of this schema follow on the same connection, which holds its lock.
  bool holds_connection() const { return state_ == State::ready && is_alone(); }
  /// Must not share the pipeline: it has met a lock, or its like takes long.
  bool wants_room() const { return is_slow() || takes_long_; }
  /// Has met a lock: another connection than the others'.
  bool is_slow() const { return met_lock_; }
  void expect_long() { takes_long_ = true; }
  /// Tries that met a lock since the last call.
  std::uint32_t take_lock_waits() { return std::exchange(new_lock_waits_, 0); }
  /// Began with this very plan.
  bool is_of(const Plan& plan) const { return group_plan_ == &plan; }
  /// Who stands in its way, seen from outside while a segment was under way.
  void saw(const Blocker& blocker) { blocker_ = blocker; }
  bool leaves_traces() const { return migrator_ && migrator_->leaves_traces(); }

  void fold(const pq::FlightAnswer& answer, pq::Deadline now);
  /// The connection is gone.
  struct Loss {
    std::string why;
    Backend backend;  ///< may go on without us; not always known
  };
  enum class Lost {
    nothing,    ///< no segment of this schema was on its way
    in_flight,  ///< one was, behind another schema's
    at_server   ///< the server was at it, which may be why the connection ended
  };
  void lose(const Loss& loss, Lost lost, pq::Deadline now);
  /// Ends the job where it is: nothing more will be tried.
  void give_up(Result result, const std::string& why);
  /// Its database cannot be reached. Throws nothing away: what is in doubt stays so.
  void give_up_unreachable(const std::string& why, const std::string& sqlstate);
  /// Begins no further statement outside a transaction; what is left of the job is bookkeeping.
  void stop(pq::Deadline now);
  bool is_recording() const { return !reading_ && migrator_ && migrator_->is_recording(); }
  /// A waiting job whose time has come.
  void wake() { state_ = State::ready; }
  /// A COMMIT's answer was lost and has not been settled by reading yet.
  bool is_unsettled() const { return in_doubt_ && reading_; }
  /// Errors that follow a cancel of ours are no failures.
  void interrupt() { interrupted_ = true; }

  /// As reports call it.
  const std::string& schema() const { return full_name_.empty() ? name_.text() : full_name_; }
  std::uint32_t site() const { return site_; }
  /// The server is out of something that every schema needs.
  const std::string& exhausted() const { return exhausted_; }
  bool is_out_of_locks() const { return failure_ && failure_->sqlstate == "53200"; }
  pq::Deadline started_at() const { return started_at_; }
  SchemaReport report(pq::Deadline now) const;

 private:
  void start(const Plan& plan);
  void prepare();
  Segment read_segment();
  void fold_reading(const pq::FlightAnswer& answer, pq::Deadline now);
  void judge_reading(const pq::ServerFields& error, Verdict verdict, pq::Deadline now);
  void judge_absence(Missing absent);
  void plan_again(Missing missing);
  void judge(pq::Deadline now);
  void judge_contention(const Outcome& outcome, pq::Deadline now);
  void judge_exhausted(const Outcome& outcome, pq::Deadline now);
  void judge_refused(const Outcome& outcome, pq::Deadline now);
  void judge_gone(pq::Deadline now);
  void judge_busy(const std::optional<Failure>& failure, pq::Deadline now);
  void read_again(pq::Deadline at);
  void finish(Result result, std::optional<Failure> failure = std::nullopt);

  SchemaName name_;
  std::string full_name_;
  std::uint32_t site_;
  const Plan* group_plan_;
  const Plan* plan_;
  Missing missing_;
  const MigrateOptions& options_;
  const Replan& replan_;
  Patience patience_;
  std::size_t* most_locks_;
  std::function<bool()> makes_room_;
  VersionTable table_;

  State state_ = State::ready;
  pq::Deadline ready_at_{};
  pq::Deadline started_at_{};
  std::optional<pq::Deadline> busy_since_;
  std::optional<Plan> own_plan_;  ///< when the group's no longer fits
  std::optional<Migrator> migrator_;
  std::optional<Segment> next_;
  bool reading_ = false;
  History history_;
  bool in_doubt_ = false;
  bool changed_ = false;  ///< a lost COMMIT had happened after all
  bool interrupted_ = false;
  std::uint32_t tries_ = 0;
  std::uint32_t losses_ = 0;
  std::uint32_t lost_readings_ = 0;  ///< in a row
  std::string loss_;                 ///< the last one's words
  Backend orphan_;                   ///< of the last lost connection
  bool met_lock_ = false;
  std::uint32_t new_lock_waits_ = 0;
  bool takes_long_ = false;
  std::optional<Blocker> blocker_;
  std::uint32_t steps_ = 0;
  std::uint32_t repeatables_ = 0;
  std::string exhausted_;
  RevisionNumber from_ = 0;
  Mark mark_;
  Result result_ = Result::not_started;
  std::optional<Failure> failure_;
};

}  // namespace tenantctl
