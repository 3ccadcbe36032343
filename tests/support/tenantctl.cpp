#include "support/tenantctl.h"

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace tenantctl::testing {
namespace {

// What finds the server, and what belongs to the way the program was built.
constexpr auto passed_on = {"PATH",
                            "PGHOST",
                            "PGPORT",
                            "PGUSER",
                            "PGPASSWORD",
                            "ASAN_OPTIONS",
                            "LSAN_OPTIONS",
                            "TSAN_OPTIONS",
                            "UBSAN_OPTIONS",
                            "GCOV_PREFIX",
                            "GCOV_PREFIX_STRIP",
                            "LOCPATH"};

}  // namespace

std::filesystem::path tool_binary() {
  const char* const binary = std::getenv("TENANTCTL_BIN");
  if (binary == nullptr || *binary == '\0') {
    throw std::runtime_error("TENANTCTL_BIN does not name the program (run by scripts/test)");
  }
  // The test's folder is not the tool's.
  return std::filesystem::absolute(binary);
}

Tool::Tool(const std::string& conninfo, const std::filesystem::path& binary)
    : binary_(binary.string()) {
  options_.folder = folder_.path();
  options_.clean_environment = true;
  for (const char* const name : passed_on) {
    if (const char* const value = std::getenv(name); value != nullptr) {
      set_variable(name, value);
    }
  }
  set_variable("HOME", folder_.path().string());
  // scripts/test --locale
  const char* const locale = std::getenv("TENANTCTL_TEST_LOCALE");
  set_variable("LC_ALL", locale != nullptr ? locale : "C.UTF-8");
  if (!conninfo.empty()) {
    set_variable("DATABASE_URL", conninfo);
  }
}

void Tool::set_variable(const std::string& name, std::optional<std::string> value) {
  options_.environment[name] = std::move(value);
}

Finished Tool::run(const std::vector<std::string>& args, const std::string& input) const {
  auto options = options_;
  options.input = input;
  return run_process(command(args), options);
}

Finished Tool::run_in_terminal(const std::vector<std::string>& args,
                               std::vector<Answer> answers) const {
  auto options = options_;
  options.environment.emplace("TERM", "xterm-256color");
  return testing::run_in_terminal(command(args), options, std::move(answers));
}

RunningProcess Tool::start(const std::vector<std::string>& args) const {
  return RunningProcess(command(args), options_);
}

std::vector<std::string> Tool::command(const std::vector<std::string>& args) const {
  std::vector<std::string> command{binary_};
  command.insert(command.end(), args.begin(), args.end());
  return command;
}

}  // namespace tenantctl::testing
