#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "rollout/observer.h"

namespace tenantctl {

/// Looks at our own backends from outside while they take their time: what runs, what it waits for,
/// and who is in its way (pg_stat_activity, pg_blocking_pids). One question at a time over the
/// control connection, never waited for. A control connection that is lost ends the looking, not
/// the run.
class Watch {
 public:
  /// What one backend is at.
  struct Sight {
    std::string statement;
    std::string wait;
    std::optional<Blocker> blocker;
  };

  /// The pipeline must outlive it and carry nothing else while is_asking().
  explicit Watch(pq::Pipeline& control) : control_(control) {}

  bool is_asking() const { return asking_; }
  /// Asks about these backends, unless a question is under way.
  void ask(const std::vector<int>& pids);

  int socket() const { return asking_ ? control_.connection().socket() : -1; }
  bool wants_write() const { return control_.wants_write(); }
  /// Takes what has arrived; true when an answer is complete.
  bool advance();
  /// Waits for the answer to what was asked, so that the connection is free for something else.
  void settle(pq::Deadline deadline);

  /// The last answer, by backend pid.
  const std::map<int, Sight>& sights() const { return sights_; }

 private:
  void add(const pq::Row& row);
  void give_up();

  pq::Pipeline& control_;
  bool asking_ = false;
  bool lost_ = false;
  std::map<int, Sight> arriving_;
  std::map<int, Sight> sights_;
};

}  // namespace tenantctl
