#include "rollout/agenda.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace tenantctl {

Agenda::Agenda(const WaveOptions& options, const std::vector<TaskGroup>& groups,
               const std::vector<Task>& tasks)
    : tasks_(tasks) {
  const auto& canaries = options.canaries;
  for (const std::string& canary : canaries) {
    const bool is_task = std::any_of(tasks.begin(), tasks.end(),
                                     [&](const Task& task) { return task.schema == canary; });
    if (!is_task) {
      throw UsageError(fmt::format("the canary {} is not among the selected schemas", canary),
                       "Name one that is, or a number of schemas.");
    }
  }
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    if (!groups[tasks[i].group].plan.empty()) {
      order_.push_back(i);
    }
  }
  const auto first_other =
      std::stable_partition(order_.begin(), order_.end(), [&](std::uint32_t i) {
        return std::find(canaries.begin(), canaries.end(), tasks[i].schema) != canaries.end();
      });
  const auto is_serial = [&](std::uint32_t i) { return groups[tasks[i].group].plan.is_serial(); };
  std::stable_partition(first_other, order_.end(), [&](std::uint32_t i) { return !is_serial(i); });
  ends_ = wave_ends(options, order_.size(), static_cast<std::size_t>(first_other - order_.begin()));
}

std::size_t Agenda::left_in_row(std::size_t most) const {
  const std::size_t end = next_ + std::min(left(), most);
  std::size_t at = next_;
  while (at < end && tasks_[order_[at]].site == next().site) {
    ++at;
  }
  return at - next_;
}

std::size_t Agenda::size_of(std::size_t wave) const {
  return ends_[wave] - (wave == 0 ? 0 : ends_[wave - 1]);
}

}  // namespace tenantctl
