#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rollout/job.h"
#include "rollout/observer.h"
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
  std::size_t jobs = 4;  ///< connections to work with
  bool via_pooler = false;
};

/// Takes many schemas along their plans over a few connections, in one thread: a poll loop with a
/// deadline on every wait. Goes on after a failed schema. What it says of a schema is what the
/// server's COMMIT, or a reading under the schema's lock, said.
class Rollout {
 public:
  /// `signals` counts SIGINT and SIGTERM: at 1 nothing new is begun and what runs is cancelled, at
  /// 2 the connections are closed. `control` is an idle connection for cancelling. All must outlive
  /// the rollout.
  Rollout(const RolloutOptions& options, const Replan& replan, Observer& observer,
          pq::Pipeline& control, const std::atomic<int>& signals);

  /// One report per task. Throws ConnectFailed if no connection could be made at all.
  Report run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks);

 private:
  void drain();
  void heed_signals(pq::Deadline now);
  void cancel_running();
  void close_all(pq::Deadline now);
  void give_up_waiting(Result result, pq::Deadline now);
  void assign(pq::Deadline now);
  Job* next_job(pq::Deadline now);
  void wait(pq::Deadline now);
  void collect(Worker& worker, pq::Deadline now);
  void finish(Job* job, pq::Deadline now);
  void end_waiting(Result result, const std::string& why, pq::Deadline now);
  void report_unstarted(const Task& task, Result result, const std::string& why);
  void add(SchemaReport schema);
  bool out_of_workers() const;
  bool may_begin() const { return signals_.load() == 0 && report_.stopped_by.empty(); }
  Progress progress() const;
  std::vector<Activity> activities(pq::Deadline now) const;

  const RolloutOptions& options_;
  const Replan& replan_;
  Observer& observer_;
  pq::Pipeline& control_;
  const std::atomic<int>& signals_;

  const std::vector<TaskGroup>* groups_ = nullptr;
  const std::vector<Task>* tasks_ = nullptr;
  std::vector<std::uint32_t> to_do_;        ///< tasks with something to do
  std::size_t next_ = 0;                    ///< of to_do_, the next to begin
  std::vector<std::unique_ptr<Job>> jobs_;  ///< begun and not over
  std::vector<Job*> waiting_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Report report_;
  std::size_t problems_ = 0;
  std::size_t retried_ = 0;
  std::array<std::size_t, result_count> counts_{};
  pq::Deadline last_tick_{};
  pq::Deadline last_cancel_{};
};

}  // namespace tenantctl
