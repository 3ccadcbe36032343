#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rollout/job.h"
#include "rollout/observer.h"
#include "rollout/sizing.h"
#include "rollout/task.h"

namespace tenantctl {

/// How many schemas may be under way at once, so that their locks fit into the server's lock table:
/// guessed from the plans, counted on the first schema of each group, and halved where the server
/// says that the table is full.
class LockRoom {
 public:
  /// Of `jobs` connections for `schemas` with something to do. Without a room nothing is counted,
  /// and only a full table limits. Observer and groups must outlive it.
  struct Demand {
    std::size_t jobs = 0;
    std::size_t schemas = 0;
  };
  LockRoom(const std::optional<ServerRoom>& room, const Demand& demand,
           const std::vector<TaskGroup>& groups, Observer& observer);

  /// Whether one more may begin beside so many.
  bool allows(std::size_t busy) const { return busy < most_at_once_; }
  /// Where the group's next schema says how many locks it took; nullptr once one has.
  std::size_t* meter(std::uint32_t group) { return is_counted_[group] ? nullptr : &most_locks_; }
  /// A schema is over, and may have told its locks.
  void learn(const Job& job);
  /// The table is full although others of ours are at work: with fewer of them there may be room.
  /// False when this one was alone, and there is nothing left to give up.
  bool shrink(std::size_t busy);
  /// The arithmetic behind a failure for want of locks, else nothing.
  std::string text(const Job& job) const;

 private:
  void limit();

  const std::optional<ServerRoom>& room_;
  Demand demand_;
  const std::vector<TaskGroup>& groups_;
  Observer& observer_;
  std::size_t most_at_once_;
  std::size_t most_locks_ = 0;    ///< that a transaction was seen to hold
  std::size_t told_locks_ = 0;    ///< when people were last told of the limit
  std::vector<bool> is_counted_;  ///< by group: a schema of it has told its locks
};

}  // namespace tenantctl
