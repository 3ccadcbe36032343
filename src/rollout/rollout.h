#pragma once

#include <atomic>
#include <vector>

#include "rollout/observer.h"
#include "rollout/rollout_options.h"
#include "rollout/task.h"

namespace tenantctl {

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
          pq::Pipeline& control, const std::atomic<int>& signals)
      : options_(options),
        replan_(replan),
        observer_(observer),
        control_(control),
        signals_(signals) {}

  /// One report per task. Throws ConnectFailed if no connection could be made at all, UsageError
  /// for a canary that is no task.
  Report run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks);

 private:
  class Loop;

  const RolloutOptions& options_;
  const Replan& replan_;
  Observer& observer_;
  pq::Pipeline& control_;
  const std::atomic<int>& signals_;
};

}  // namespace tenantctl
