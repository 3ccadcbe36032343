#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/descriptor.h"

namespace tenantctl::testing {

/// How a program ended, and all that it wrote.
struct Finished {
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;      ///< the one that ended it, or 0
  std::string out;
  std::string err;
  bool timed_out = false;  ///< it had to be killed: `signal` is SIGKILL
};

/// What a program may find around it. The defaults are what a forgetful test wants.
struct ProcessOptions {
  std::filesystem::path folder = {};  ///< to work in; empty: the test's own

  /// Variables set, or with nullopt taken away. Starts from the test's own environment, or from
  /// nothing if `clean_environment`.
  std::map<std::string, std::optional<std::string>> environment = {};
  bool clean_environment = false;

  std::string input = {};  ///< for its standard input, which then ends
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
};

/// When `expected` has appeared on the terminal (since the answer before), `text` is typed. A line
/// is sent by its "\n".
struct Answer {
  std::string expected;
  std::string text;
};

/// A program that runs beside the test, without a shell between: its first argument is looked up
/// in PATH unless it holds a slash. Output that nobody waits for stays in the pipe, which holds 64
/// KiB. It is the leader of a process group of its own; when the object ends before the program,
/// or a deadline passes, the whole group is killed.
///
/// All functions may throw std::system_error. One thread at a time.
class RunningProcess {
 public:
  /// Throws std::system_error when it cannot be started (no such file, say).
  explicit RunningProcess(const std::vector<std::string>& argv, const ProcessOptions& options = {});
  ~RunningProcess();

  RunningProcess(RunningProcess&& other) noexcept;
  RunningProcess& operator=(RunningProcess&&) = delete;

  /// With standard input, output and error on a terminal of 100 columns; `input` is not used.
  static RunningProcess in_terminal(const std::vector<std::string>& argv,
                                    const ProcessOptions& options,
                                    std::vector<Answer> answers = {});

  pid_t pid() const { return pid_; }

  /// Sends `signal` to the program alone, not to its group. Does nothing when it was waited for.
  void kill(int signal);

  /// Waits until `text` was written to output or error. False if the program or the time ended
  /// first. The way to meet a program in the middle of its work.
  bool shows(std::string_view text, std::chrono::milliseconds timeout = std::chrono::seconds(60));

  /// Collects output until the program has ended; after `timeout` kills it and says so.
  Finished wait(std::chrono::milliseconds timeout = std::chrono::seconds(60));

 private:
  RunningProcess() = default;

  bool exchange(std::chrono::milliseconds patience);
  void exchange_rest(std::chrono::steady_clock::time_point deadline);
  void feed();
  void answer();
  bool is_silent() const { return !out_.is_open() && !err_.is_open(); }
  bool has_ended();
  void kill_group();

  pid_t pid_ = -1;
  bool ended_ = false;  // reaped: the number may belong to another program by now
  Descriptor in_;
  Descriptor out_;  // in a terminal: its other side, for both directions
  Descriptor err_;
  std::string input_;
  std::size_t fed_ = 0;  // bytes of input_ that are written
  std::vector<Answer> answers_;
  std::size_t answered_ = 0;  // answers_ given
  std::size_t searched_ = 0;  // bytes of out that were used up by them
  Finished seen_;
};

/// Runs a program to its end or to `options.timeout`.
Finished run_process(const std::vector<std::string>& argv, const ProcessOptions& options = {});

/// The same on a terminal of 100 columns. `out` has what the terminal got, from output, error and
/// the echo of what was typed, with line ends "\r\n"; `err` is empty. A prompt without an answer
/// ends in a timeout.
Finished run_in_terminal(const std::vector<std::string>& argv, const ProcessOptions& options = {},
                         std::vector<Answer> answers = {});

}  // namespace tenantctl::testing
