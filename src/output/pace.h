#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>

#include "rollout/observer.h"

namespace tenantctl {

/// How fast schemas end at present, over the last half minute. Those that had nothing to do do not
/// count: they end in no time and would promise too much.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void add(Time now, const Progress& progress);

  /// Schemas per second; nothing as long as too few have ended to tell.
  std::optional<double> rate() const;
  std::optional<std::chrono::seconds> left(const Progress& progress) const;

 private:
  struct Sample {
    Time time;
    std::size_t worked = 0;
  };
  std::deque<Sample> samples_;
};

}  // namespace tenantctl
