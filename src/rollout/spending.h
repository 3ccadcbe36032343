#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "pq/pipeline.h"
#include "rollout/agenda.h"
#include "rollout/waves.h"

namespace tenantctl {

/// What a run has cost, wave by wave, against its Budgets. Says why no further schema may begin, or
/// an empty text.
class Spending {
 public:
  /// The budgets must outlive it.
  explicit Spending(const Budgets& budgets) : budgets_(budgets) {}

  void begin_wave();
  void count_problem() { ++problems_; }
  void count_lock_waits(std::size_t tries) { lock_waits_ += tries; }

  std::string excess(const Agenda& agenda, std::chrono::nanoseconds elapsed) const;

  bool limits_lag() const { return budgets_.replica_lag.has_value(); }
  /// So often standbys are asked while a wave is under way.
  bool is_lag_due(pq::Deadline now) const;
  /// Asks over a connection that is free.
  std::string lag_excess(pq::Pipeline& control, pq::Deadline now);

 private:
  const Budgets& budgets_;
  std::size_t problems_ = 0;  ///< of this wave, as the lock waits
  std::size_t lock_waits_ = 0;
  pq::Deadline last_lag_check_{};
};

}  // namespace tenantctl
