#include "cli/context.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "base/error.h"

namespace tenantctl::cli {

bool is_terminal_out() { return ::isatty(STDOUT_FILENO) != 0; }
bool is_terminal_err() { return ::isatty(STDERR_FILENO) != 0; }
bool is_terminal_in() { return ::isatty(STDIN_FILENO) != 0; }

bool is_screen_err() {
  const char* terminal = std::getenv("TERM");
  const std::string_view name = terminal == nullptr ? "" : terminal;
  return is_terminal_err() && !name.empty() && name != "dumb";
}

TerminalSize screen_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

bool wants_colour() {
  const char* refused = std::getenv("NO_COLOR");
  return is_screen_err() && (refused == nullptr || *refused == '\0');
}

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
