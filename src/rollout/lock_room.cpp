#include "rollout/lock_room.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace tenantctl {

LockRoom::LockRoom(const std::optional<ServerRoom>& room, const Demand& demand,
                   const std::vector<TaskGroup>& groups, Observer& observer)
    : room_(room),
      demand_(demand),
      groups_(groups),
      observer_(observer),
      most_at_once_(demand.jobs),
      is_counted_(groups.size(), !room) {
  const bool may_fill = room && std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
                          return may_fill_locks(*room, group.plan, demand.jobs);
                        });
  if (may_fill) {
    most_at_once_ = 1;
  }
}

// By what a schema was seen to take. Told only where it means fewer connections than asked for.
void LockRoom::limit() {
  if (!room_ || most_locks_ == 0 || most_locks_ == told_locks_) {
    return;
  }
  most_at_once_ = std::min(jobs_for_locks(*room_, most_locks_), demand_.jobs);
  if (most_at_once_ < std::min(demand_.jobs, demand_.schemas)) {
    told_locks_ = most_locks_;
    observer_.warned(locks_text(*room_, most_locks_, most_at_once_));
  }
}

void LockRoom::learn(const Job& job) {
  limit();
  for (std::size_t i = 0; i < is_counted_.size(); ++i) {
    is_counted_[i] = is_counted_[i] || (most_locks_ > 0 && job.is_of(groups_[i].plan));
  }
}

bool LockRoom::shrink(std::size_t busy) {
  if (busy <= 1 && most_at_once_ <= 1) {
    return false;
  }
  const std::size_t before = std::min(std::max<std::size_t>(busy, 1), most_at_once_);
  if (most_at_once_ == 1) {
    return true;
  }
  most_at_once_ = std::max<std::size_t>(1, before / 2);
  observer_.warned(fmt::format("the server's lock table is full: {} at a time from now on",
                               counted(most_at_once_, "schema")));
  return true;
}

std::string LockRoom::text(const Job& job) const {
  if (!room_ || !job.is_out_of_locks()) {
    return "";
  }
  return fmt::format(
      " (the lock table has room for {} locks, max_locks_per_transaction times connections; {} "
      "were taken when the run began)",
      room_->lock_slots, room_->locks);
}

}  // namespace tenantctl
