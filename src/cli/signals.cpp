#include "cli/signals.h"

#include <csignal>

namespace tenantctl::cli {
namespace {

std::atomic<int>& signals() {
  static std::atomic<int> count{0};
  return count;
}

extern "C" void count_signal(int /*signal*/) { signals().fetch_add(1); }

// Without SA_RESTART: a wait ends, and the count is seen.
void answer_with(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

const std::atomic<int>& signal_count() { return signals(); }

void ignore_broken_pipes() { answer_with(SIGPIPE, SIG_IGN); }

void watch_signals() {
  answer_with(SIGINT, count_signal);
  answer_with(SIGTERM, count_signal);
}

void leave_signals() {
  answer_with(SIGINT, SIG_DFL);
  answer_with(SIGTERM, SIG_DFL);
}

}  // namespace tenantctl::cli
