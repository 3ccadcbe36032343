#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rollout/task.h"
#include "rollout/waves.h"

namespace tenantctl {

/// A rollout's tasks with something to do, in the order of work and in waves: canaries first, then
/// by name; a revision that must run in one schema at a time comes last, so that it keeps nobody
/// else waiting.
class Agenda {
 public:
  /// Throws UsageError for a canary that is no task. Groups and tasks must outlive it.
  Agenda(const WaveOptions& options, const std::vector<TaskGroup>& groups,
         const std::vector<Task>& tasks);

  std::size_t size() const { return order_.size(); }
  /// Not begun, of this wave.
  std::size_t left() const {
    return order_.empty() ? 0 : ends_[wave_] - std::min(ends_[wave_], next_);
  }
  /// Of these, how many come one behind the other at the site of the next; counted up to `most`.
  std::size_t left_in_row(std::size_t most) const;
  /// Not begun, of all waves.
  bool is_begun() const { return next_ == order_.size(); }
  const Task& next() const { return tasks_[order_[next_]]; }
  void advance() { ++next_; }

  /// All of this wave has begun, and another comes behind it.
  bool is_wave_begun() const { return next_ < order_.size() && next_ == ends_[wave_]; }
  void enter_next_wave() { ++wave_; }
  std::size_t wave() const { return wave_; }  ///< from 0
  std::size_t waves() const { return ends_.size(); }
  std::size_t wave_size() const { return size_of(wave_); }
  std::size_t next_wave_size() const { return size_of(wave_ + 1); }
  /// The first of several: one failure ends the run unless more are allowed.
  bool is_canary() const { return ends_.size() > 1 && wave_ == 0; }

 private:
  std::size_t size_of(std::size_t wave) const;

  const std::vector<Task>& tasks_;
  std::vector<std::uint32_t> order_;  ///< indexes of tasks
  std::size_t next_ = 0;              ///< of order_, the next to begin
  std::vector<std::size_t> ends_;     ///< of each wave, in order_; none if nothing is to do
  std::size_t wave_ = 0;
};

}  // namespace tenantctl
