#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tenantctl {

/// A number of schemas, or a share of those that have something to do.
struct Amount {
  std::size_t count = 0;
  bool is_percent = false;

  /// `10` or `10%`. Throws UsageError.
  static Amount parse(const std::string& text);
  /// Of so many schemas; a percentage rounds up. As a limit it rounds down: of one schema none.
  std::size_t of(std::size_t total) const;
  std::size_t at_most(std::size_t total) const;
};

/// What a run may cost before no further schema is started. Unset: no limit.
struct Budgets {
  /// Schemas with problems, of a wave. Unset, a first wave of several allows none.
  std::optional<Amount> failures;
  std::optional<std::size_t> lock_waits;  ///< tries that met a lock, of a wave
  std::optional<std::chrono::milliseconds> duration;
  std::optional<std::chrono::milliseconds> replica_lag;
};

/// How a rollout begins small.
struct WaveOptions {
  std::vector<std::string> canaries;   ///< schemas of the first wave by name...
  std::optional<Amount> canary;        ///< ...or how many
  std::vector<Amount> waves;           ///< how many are done at the end of each further wave
  std::chrono::milliseconds pause{0};  ///< between waves
  /// Asked before each wave but the first: its number from 1, and how many schemas are in it. False
  /// stops. May take its time: nothing is under way.
  std::function<bool(std::size_t wave, std::size_t schemas)> confirm;
};

/// Where each wave ends, as counts of schemas in the order of work that only grow; the last is
/// `total`. `named` canaries stand first in that order. Empty for an empty run.
std::vector<std::size_t> wave_ends(const WaveOptions& options, std::size_t total,
                                   std::size_t named);

}  // namespace tenantctl
