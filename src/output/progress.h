#pragma once

#include <chrono>
#include <iosfwd>
#include <memory>

#include "rollout/observer.h"

namespace tenantctl {

/// Shows a run on `err` while it goes on. On a terminal one line that is written over; elsewhere a
/// plain line at intervals, so that a CI log neither fills nor falls silent; nothing when quiet or
/// for a single schema.
enum class ProgressStyle { none, terminal, log };
std::unique_ptr<Observer> make_progress(std::ostream& err, ProgressStyle style);

}  // namespace tenantctl
