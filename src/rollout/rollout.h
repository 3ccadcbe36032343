#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rollout/job.h"
#include "rollout/observer.h"
#include "rollout/sizing.h"
#include "rollout/watch.h"
#include "rollout/waves.h"
#include "rollout/worker.h"

namespace tenantctl {

/// Schemas that get the same plan.
struct TaskGroup {
  Plan plan;
  Missing missing = Missing::nothing;  ///< what the run may create
};

struct Task {
  std::string schema;
  std::uint32_t group = 0;
};

struct RolloutOptions {
  Worker::Options worker;
  MigrateOptions migrate;
  Patience patience;
  std::size_t jobs = 4;  ///< connections to work with, never more at a time
  bool via_pooler = false;
  std::optional<ServerRoom> room;  ///< jobs never fill its lock table; unknown: nothing is counted
  /// Where the control connection leads, to make it anew when it is lost; without it, what it is
  /// for is left out from then on.
  std::optional<pq::ConnectOptions> control;
  /// A connection is given up whose backend has waited for us so long, or is gone, or that says
  /// nothing while nobody can say what the server does.
  std::chrono::milliseconds silence{30'000};
  /// After a signal, for so long an answer to the cancel is waited for.
  std::chrono::milliseconds drain{10'000};
  WaveOptions waves;
  Budgets budgets;
};

/// Takes many schemas along their plans over a few connections, in one thread: a poll loop with a
/// deadline on every wait. Goes on after a failed schema, within its budgets, and in waves if
/// asked. What it says of a schema is what the server's COMMIT, or a reading under the schema's
/// lock, said.
class Rollout {
 public:
  /// `signals` counts SIGINT and SIGTERM: at 1 nothing new is begun and what runs is cancelled, at
  /// 2 the connections are closed. `control` is an idle connection for cancelling. All must outlive
  /// the rollout.
  Rollout(const RolloutOptions& options, const Replan& replan, Observer& observer,
          pq::Pipeline& control, const std::atomic<int>& signals);

  /// One report per task. Throws ConnectFailed if no connection could be made at all, UsageError
  /// for a canary that is no task.
  Report run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks);

 private:
  void drain();
  void heed_signals(pq::Deadline now);
  void cancel_running(pq::Deadline now);
  void cancel_one(const std::vector<Worker*>& others);
  void drop_silent(pq::Deadline now);
  void note_server(const Worker& worker);
  void ask_watch(pq::Deadline now);
  Watch::Subject subject_of(const Worker& worker) const;
  void close_all(pq::Deadline now);
  void give_up_waiting(Result result, pq::Deadline now);
  void plan_work(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks);
  void make_workers();
  void assign(pq::Deadline now);
  /// Whether there is more to do than connections that are free for it: a canary needs one.
  bool needs_another() const;
  Job* next_job(const Worker& worker, pq::Deadline now);
  /// Slow: has met a lock.
  enum class Pace { ordinary, slow };
  Job* next_waiting(const Worker& worker, Pace pace, pq::Deadline now);
  bool is_due(const Job& job, Pace pace, pq::Deadline now) const;
  bool is_slow_due(pq::Deadline now) const;
  Job* next_new(const Worker& worker);
  /// Whether schemas that met a lock go before others there.
  bool is_slow_lane(const Worker& worker) const;
  void learn(const Job& job, std::chrono::milliseconds duration);
  std::unique_ptr<Job> make_job(const Task& task);
  bool has_lock_room(const Worker& worker) const;
  void limit_for_locks();
  bool make_room();
  std::string lock_room_text(const Job& job) const;
  void end_wave(pq::Deadline now);
  void start_wave(pq::Deadline now);
  void check_budgets(pq::Deadline now);
  void check_replica_lag(pq::Deadline now);
  void stop(const std::string& why);
  void look(pq::Deadline now);
  void wait(pq::Deadline now);
  void collect(Worker& worker, pq::Deadline now);
  void finish(Job* job, pq::Deadline now);
  void end_waiting(Result result, const std::string& why, pq::Deadline now);
  void report_unstarted(const Task& task, Result result, const std::string& why);
  void add(SchemaReport schema);
  bool out_of_workers() const;
  bool may_begin() const { return signals_.load() == 0 && report_.stopped_by.empty(); }
  bool is_idle() const;
  Progress progress() const;
  std::vector<Activity> activities(pq::Deadline now) const;

  const RolloutOptions& options_;
  const Replan& replan_;
  Observer& observer_;
  pq::Pipeline& control_;
  const std::atomic<int>& signals_;

  const std::vector<TaskGroup>* groups_ = nullptr;
  const std::vector<Task>* tasks_ = nullptr;
  std::vector<std::uint32_t> to_do_;    ///< tasks with something to do, in order of work
  std::size_t next_ = 0;                ///< of to_do_, the next to begin
  std::vector<std::size_t> wave_ends_;  ///< in to_do_
  std::size_t wave_ = 0;
  std::size_t wave_begin_problems_ = 0;
  std::size_t wave_begin_lock_waits_ = 0;
  pq::Deadline pause_until_{};
  std::vector<bool> takes_long_;  ///< by group: its schemas take longer than a second
  std::size_t most_at_once_ =
      0;                        ///< workers that may have a schema under way: the lock table's room
  std::size_t most_locks_ = 0;  ///< that a transaction was seen to hold
  std::size_t told_locks_ = 0;  ///< when people were last told of the limit
  std::vector<bool> is_counted_;  ///< by group: a schema of it has told its locks
  std::size_t lock_waits_ = 0;
  pq::Deadline begin_{};
  Watch watch_;
  pq::Deadline last_look_{};
  pq::Deadline last_lag_check_{};
  std::vector<std::unique_ptr<Job>> jobs_;  ///< begun and not over
  std::vector<Job*> waiting_;
  Job* serial_ = nullptr;  ///< the one under way whose revision runs in one schema at a time
  std::vector<std::unique_ptr<Worker>> workers_;
  Report report_;
  std::size_t problems_ = 0;
  std::size_t retried_ = 0;
  std::array<std::size_t, result_count> counts_{};
  pq::Deadline last_tick_{};
  pq::Deadline last_cancel_{};
  std::size_t cancels_ = 0;  ///< through a pooler
  int closed_for_ = 0;       ///< so many signals
  std::optional<pq::Deadline> signalled_at_;
  std::string server_;  ///< system identifier and timeline, as first seen
};

}  // namespace tenantctl
