#include "output/pace.h"

#include <cmath>

namespace tenantctl {

using namespace std::chrono_literals;

void Pace::add(Time now, const Progress& progress) {
  const std::size_t unchanged = progress.counts.at(static_cast<std::size_t>(Result::unchanged));
  const Sample sample{.time = now, .worked = progress.finished - unchanged};
  // The newest sample moves on until it is a second away from the one before.
  if (samples_.size() > 1 && samples_.back().time - samples_[samples_.size() - 2].time < 1s) {
    samples_.back() = sample;
  } else {
    samples_.push_back(sample);
  }
  while (samples_.size() > 2 && now - samples_[1].time > 30s) {
    samples_.pop_front();
  }
}

std::optional<double> Pace::rate() const {
  constexpr std::size_t enough = 5;
  if (samples_.size() < 2) {
    return std::nullopt;
  }
  const auto time = samples_.back().time - samples_.front().time;
  const std::size_t worked = samples_.back().worked - samples_.front().worked;
  if (time < 1s || worked < enough) {
    return std::nullopt;
  }
  return static_cast<double>(worked) / std::chrono::duration<double>(time).count();
}

std::optional<std::chrono::seconds> Pace::left(const Progress& progress) const {
  const auto per_second = rate();
  if (!per_second || progress.finished >= progress.total) {
    return std::nullopt;
  }
  const auto rest = static_cast<double>(progress.total - progress.finished);
  return std::chrono::seconds(static_cast<std::int64_t>(std::ceil(rest / *per_second)));
}

}  // namespace tenantctl
