#include "cli/context.h"

#include <unistd.h>

#include <iostream>

#include "base/error.h"

namespace tenantctl::cli {

bool is_terminal_out() { return ::isatty(STDOUT_FILENO) != 0; }
bool is_terminal_err() { return ::isatty(STDERR_FILENO) != 0; }
bool is_terminal_in() { return ::isatty(STDIN_FILENO) != 0; }

bool confirm(const Context& context, const std::string& question) {
  if (context.settings.yes)
    return true;
  if (!is_terminal_in() || !is_terminal_err()) {
    throw UsageError(context.command + " asks before it acts, and this is not a terminal",
                     "Give --yes to go on without a question.");
  }
  *context.err << question << " Type yes to go on: " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

}  // namespace tenantctl::cli
