#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>

#include "output/live_block.h"
#include "rollout/observer.h"

namespace tenantctl {

/// none: nobody looks. terminal: a block of a few lines that is drawn over, at most ten times a
/// second, and taken away at the end. log: a plain line every ten seconds, which names the schema
/// that runs longest when nothing ended meanwhile, so that a CI log neither fills nor falls silent.
/// In both, once a run has taken some seconds, the first failure of each cause is told at once.
enum class ProgressStyle { none, terminal, log };

struct ProgressOptions {
  ProgressStyle style = ProgressStyle::none;
  bool verbose = false;  ///< a line for each finished schema
  bool colour = false;   ///< on a terminal
  std::function<TerminalSize()> size = [] { return TerminalSize(); };  ///< asked at each drawing
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

/// Shows a run on `err`, which must outlive the observer, while it goes on.
std::unique_ptr<Observer> make_progress(std::ostream& err, const ProgressOptions& options);

}  // namespace tenantctl
