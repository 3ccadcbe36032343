#pragma once

#include <atomic>

namespace tenantctl::cli {

/// A reader that goes away is an error of the write, not the end of the process.
void ignore_broken_pipes();

/// From here on SIGINT and SIGTERM are counted instead of ending the process: a rollout ends
/// itself.
void watch_signals();
/// From here on they end the process again.
void leave_signals();
/// How many times SIGINT or SIGTERM arrived since watch_signals().
const std::atomic<int>& signal_count();

}  // namespace tenantctl::cli
