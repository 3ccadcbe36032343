#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tenantctl::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds slice{50};
constexpr milliseconds patience_after_end{1000};
constexpr unsigned short terminal_columns = 100;
constexpr unsigned short terminal_rows = 30;

[[noreturn]] void fail(const std::string& what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

struct Pipe {
  Descriptor reader;
  Descriptor writer;
};

Pipe open_pipe() {
  std::array<int, 2> ends{};
  // Not inherited: a program started at the same time would keep this one's pipe open.
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    fail("pipe");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::map<std::string, std::string> own_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) {
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return variables;
}

std::vector<std::string> environment_of(const ProcessOptions& options) {
  auto variables =
      options.clean_environment ? std::map<std::string, std::string>{} : own_environment();
  for (const auto& [name, value] : options.environment) {
    if (value) {
      variables[name] = *value;
    } else {
      variables.erase(name);
    }
  }
  std::vector<std::string> entries;
  entries.reserve(variables.size());
  for (const auto& [name, value] : variables) {
    entries.emplace_back(name).append("=").append(value);
  }
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (auto& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

/// What posix_spawn wants to know. Not fork: a test may have threads.
class Launch {
 public:
  Launch() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~Launch() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  void redirect(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }

  // The leader of a session that opens a terminal gets it as its own.
  void open_terminal(const std::string& name) {
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, name.c_str(), O_RDWR, 0);
    redirect(STDIN_FILENO, STDOUT_FILENO);
    redirect(STDIN_FILENO, STDERR_FILENO);
    group_ = POSIX_SPAWN_SETSID;
  }

  pid_t start(std::vector<std::string> argv, const ProcessOptions& options) {
    if (argv.empty()) {
      throw std::invalid_argument("no program to run");
    }
    if (!options.folder.empty()) {
      posix_spawn_file_actions_addchdir_np(&actions_, options.folder.c_str());
    }
    reset_signals();
    auto environment = environment_of(options);
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, argv.front().c_str(), &actions_, &attributes_,
                                     pointers(argv).data(), pointers(environment).data());
    if (error != 0) {
      fail("cannot run " + argv.front(), error);
    }
    return pid;
  }

 private:
  // Whatever the test's own parent ignores or blocks (nohup, a shell's background job).
  void reset_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    for (const int signal : {SIGPIPE, SIGINT, SIGQUIT, SIGTERM, SIGHUP}) {
      sigaddset(&signals, signal);
    }
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group_));
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int group_ = POSIX_SPAWN_SETPGROUP;
};

Descriptor open_terminal() {
  Descriptor terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.is_open() || ::grantpt(terminal.number()) != 0 ||
      ::unlockpt(terminal.number()) != 0) {
    fail("cannot open a terminal");
  }
  const winsize size{
      .ws_row = terminal_rows, .ws_col = terminal_columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (::ioctl(terminal.number(), TIOCSWINSZ, &size) != 0) {
    fail("cannot set the size of a terminal");
  }
  return terminal;
}

std::string name_of_terminal(const Descriptor& terminal) {
  std::array<char, 128> name{};
  const int error = ::ptsname_r(terminal.number(), name.data(), name.size());
  if (error != 0) {
    fail("cannot name a terminal", error);
  }
  return name.data();
}

// At the end of a stream closes it. A terminal says EIO when nobody has its other side open.
void read_some(Descriptor& from, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t length = ::read(from.number(), buffer.data(), buffer.size());
  if (length > 0) {
    into.append(buffer.data(), static_cast<std::size_t>(length));
  } else if (length == 0 || (errno != EINTR && errno != EAGAIN)) {
    from.close();
  }
}

pollfd interest(const Descriptor& in, short events) {
  return {.fd = in.number(), .events = events, .revents = 0};  // poll passes over a negative one
}

}  // namespace

RunningProcess::RunningProcess(const std::vector<std::string>& argv, const ProcessOptions& options)
    : input_(options.input) {
  // Otherwise writing to a program that has ended would end the test.
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in = open_pipe();
  Pipe out = open_pipe();
  Pipe err = open_pipe();
  Launch launch;
  launch.redirect(in.reader.number(), STDIN_FILENO);
  launch.redirect(out.writer.number(), STDOUT_FILENO);
  launch.redirect(err.writer.number(), STDERR_FILENO);
  pid_ = launch.start(argv, options);
  // A program that does not read yet must not keep us from reading what it writes.
  ::fcntl(in.writer.number(), F_SETFL, O_NONBLOCK);
  in_ = std::move(in.writer);
  out_ = std::move(out.reader);
  err_ = std::move(err.reader);
  feed();
}

RunningProcess RunningProcess::in_terminal(const std::vector<std::string>& argv,
                                           const ProcessOptions& options,
                                           std::vector<Answer> answers) {
  RunningProcess process;
  process.out_ = open_terminal();
  process.answers_ = std::move(answers);
  Launch launch;
  launch.open_terminal(name_of_terminal(process.out_));
  process.pid_ = launch.start(argv, options);
  return process;
}

RunningProcess::RunningProcess(RunningProcess&& other) noexcept
    : pid_(other.pid_),
      ended_(std::exchange(other.ended_, true)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      input_(std::move(other.input_)),
      fed_(other.fed_),
      answers_(std::move(other.answers_)),
      answered_(other.answered_),
      searched_(other.searched_),
      seen_(std::move(other.seen_)) {}

RunningProcess::~RunningProcess() {
  if (pid_ > 0 && !ended_) {
    kill_group();
  }
}

void RunningProcess::kill(int signal) {
  if (!has_ended() && ::kill(pid_, signal) != 0) {
    fail("kill");
  }
}

bool RunningProcess::shows(std::string_view text, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const auto shown = [&] { return (seen_.out + '\0' + seen_.err).find(text) != std::string::npos; };
  while (!shown()) {
    const bool heard = exchange(slice);
    if (!heard && has_ended()) {
      exchange_rest(deadline);
      return shown();
    }
    if (Clock::now() >= deadline) {
      return shown();
    }
  }
  return true;
}

Finished RunningProcess::wait(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  // Silence counts, not the end of the streams: a program may leave a daemon that holds them.
  while ((!is_silent() && exchange(slice)) || !has_ended()) {
    const auto now = Clock::now();
    if (now >= deadline && !ended_) {
      seen_.timed_out = true;
      kill_group();
    }
    if (now >= deadline + patience_after_end && ended_) {
      break;  // that daemon goes on writing
    }
    if (is_silent() && !ended_) {
      std::this_thread::sleep_for(milliseconds(2));
    }
  }
  exchange_rest(deadline);
  return seen_;
}

// What a program wrote behind our last look, before its end was noticed.
void RunningProcess::exchange_rest(Clock::time_point deadline) {
  while (!is_silent() && exchange(milliseconds(0)) &&
         Clock::now() < deadline + patience_after_end) {
  }
}

// Waits at most `patience` for one of the streams; false if nothing happened.
bool RunningProcess::exchange(milliseconds patience) {
  std::array streams{interest(in_, POLLOUT), interest(out_, POLLIN), interest(err_, POLLIN)};
  const int count = ::poll(streams.data(), streams.size(), static_cast<int>(patience.count()));
  if (count < 0 && errno != EINTR) {
    fail("poll");
  }
  if (count <= 0) {
    return false;
  }
  if (streams[0].revents != 0) {
    feed();
  }
  if (streams[1].revents != 0) {
    read_some(out_, seen_.out);
    answer();
  }
  if (streams[2].revents != 0) {
    read_some(err_, seen_.err);
  }
  return true;
}

void RunningProcess::feed() {
  const ssize_t length = ::write(in_.number(), input_.data() + fed_, input_.size() - fed_);
  if (length >= 0) {
    fed_ += static_cast<std::size_t>(length);
  }
  // An error but these means that the program does not read any more, which is its own business.
  const bool refused = length < 0 && errno != EAGAIN && errno != EINTR;
  if (refused || fed_ == input_.size()) {
    in_.close();
  }
}

void RunningProcess::answer() {
  while (answered_ < answers_.size() && out_.is_open()) {
    const auto& [expected, text] = answers_[answered_];
    const auto found = seen_.out.find(expected, searched_);
    if (found == std::string::npos) {
      return;
    }
    searched_ = found + expected.size();
    ++answered_;
    if (::write(out_.number(), text.data(), text.size()) < 0) {
      fail("cannot type into the terminal");
    }
  }
}

bool RunningProcess::has_ended() {
  int status = 0;
  if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = true;
    if (WIFEXITED(status)) {
      seen_.exit_code = WEXITSTATUS(status);
    } else {
      seen_.signal = WTERMSIG(status);
    }
  }
  return ended_;
}

void RunningProcess::kill_group() {
  ::kill(-pid_, SIGKILL);
  while (!has_ended()) {
    std::this_thread::sleep_for(milliseconds(1));
  }
}

Finished run_process(const std::vector<std::string>& argv, const ProcessOptions& options) {
  return RunningProcess(argv, options).wait(options.timeout);
}

Finished run_in_terminal(const std::vector<std::string>& argv, const ProcessOptions& options,
                         std::vector<Answer> answers) {
  return RunningProcess::in_terminal(argv, options, std::move(answers)).wait(options.timeout);
}

}  // namespace tenantctl::testing
