#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "cli/session.h"

namespace tenantctl::cli {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::optional<std::chrono::milliseconds> limit(std::chrono::milliseconds time) {
  return time.count() > 0 ? std::optional(time) : std::nullopt;
}

}  // namespace

WaveOptions wave_options(const Settings& settings) {
  if (settings.confirm && !settings.yes && !(is_terminal_in() && is_terminal_err())) {
    throw UsageError("--confirm asks, and nobody is at a terminal to answer",
                     "Leave it out, or use --pause.");
  }
  WaveOptions waves;
  waves.pause = settings.pause;
  for (const std::string& canary : settings.canaries) {
    if (!is_number(canary)) {
      waves.canaries.push_back(canary);
    } else if (settings.canaries.size() > 1) {
      throw UsageError(fmt::format("--canary {} stands beside another --canary", canary),
                       "Say how many, or name them.");
    } else {
      waves.canary = Amount::parse(canary);
    }
  }
  for (const std::string& wave : settings.waves)
    waves.waves.push_back(Amount::parse(wave));
  return waves;
}

Budgets budgets(const Settings& settings) {
  Budgets budgets;
  if (settings.fail_fast)
    budgets.failures = Amount{};
  if (!settings.max_failures.empty())
    budgets.failures = Amount::parse(settings.max_failures);
  if (!settings.max_lock_waits.empty()) {
    const Amount waits = Amount::parse(settings.max_lock_waits);
    if (waits.is_percent) {
      throw UsageError("--max-lock-waits takes a number of tries, no share",
                       "Write --max-lock-waits 20.");
    }
    budgets.lock_waits = waits.count;
  }
  budgets.duration = limit(settings.max_duration);
  budgets.replica_lag = limit(settings.max_replica_lag);
  return budgets;
}

}  // namespace tenantctl::cli
