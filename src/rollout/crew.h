#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rollout/observer.h"
#include "rollout/rollout_options.h"
#include "rollout/watch.h"
#include "rollout/worker.h"

namespace tenantctl {

/// The connections of a rollout: makes the Workers, waits for all of them in one poll, and looks
/// after them from outside over the control connection (Watch). Whoever says nothing any more is
/// given up, what runs can be cancelled. Knows nothing of which schema comes next: jobs that a
/// worker lets go stay in its released() until the rollout takes them.
class Crew {
 public:
  using Workers = std::vector<std::unique_ptr<Worker>>;

  /// `control` is an idle connection for asking and cancelling. All must outlive it.
  Crew(const RolloutOptions& options, Observer& observer, pq::Pipeline& control);

  /// Makes so many; each connects when there is work for it.
  void hire(std::size_t count);
  const Workers& workers() const { return workers_; }

  bool is_idle() const { return busy() == 0; }
  std::size_t busy() const;
  std::size_t busy_beside(const Worker& worker) const;
  /// Connections to the run's own database, made or being made, that nothing is on.
  std::size_t unused() const;
  /// None can connect any more.
  bool is_retired() const;
  /// Whether schemas that met a lock go before others there.
  bool is_slow_lane(const Worker& worker) const;
  void limit_depth(std::size_t most);

  /// Waits until something arrives, or `until`, and moves what is possible; `connects`: idle
  /// workers are to connect again when their pause is over. Returns what time it is then.
  pq::Deadline wait(pq::Deadline now, pq::Deadline until, bool connects);
  /// Waits for the control connection's answers, so that it is free for something else.
  void settle(pq::Deadline until) { watch_.settle(until); }

  /// Cancels what runs; `signalled_at` is when that was first asked for.
  void cancel(pq::Deadline now, pq::Deadline signalled_at);
  /// Gives up connections that have been silent for too long.
  void drop_silent(pq::Deadline now, std::optional<pq::Deadline> signalled_at);
  /// Closes all but those that only read, to settle a doubt.
  void close_all(pq::Deadline now);

  /// What each is at, longest first.
  std::vector<Activity> activities(pq::Deadline now) const;

 private:
  void cancel_one(const std::vector<Worker*>& others);
  /// The control connection's server is the worker's too.
  bool is_watched(const Worker& worker) const;
  Watch::Subject subject_of(const Worker& worker) const;
  void ask_watch(pq::Deadline now);
  void look(pq::Deadline now);
  void note_server(const Worker& worker);
  std::string silence_of(const Worker& worker, pq::Deadline now,
                         std::optional<pq::Deadline> signalled_at) const;

  const RolloutOptions& options_;
  Observer& observer_;
  Watch watch_;
  Workers workers_;
  pq::Deadline last_look_{};
  std::size_t cancels_ = 0;                     ///< through a pooler
  std::map<std::string, std::string> servers_;  ///< by cluster: system and timeline, as first seen
};

}  // namespace tenantctl
