#include "tenant/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {
namespace {

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

[[noreturn]] void fail(const std::string& what) {
  throw Error(fmt::format("{}: {}", what, std::strerror(errno)));
}

Pipe open_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    fail("cannot make a pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

FileDescriptor open_memory(const char* name) {
  FileDescriptor memory(::memfd_create(name, MFD_CLOEXEC));
  if (!memory.is_open())
    fail("cannot keep a program's output");
  return memory;
}

std::string text_of(const FileDescriptor& file) {
  std::string text;
  std::array<char, 4096> block{};
  off_t offset = 0;
  while (file.is_open()) {
    const ssize_t count = ::pread(file.number(), block.data(), block.size(), offset);
    if (count <= 0)
      break;
    text.append(block.data(), static_cast<std::size_t>(count));
    offset += count;
  }
  return text;
}

// Ours but the server's: those come from the connection that we have.
std::vector<std::string> environment_of(const ProgramCall& call) {
  std::vector<std::string> lines;
  for (char** line = environ; *line != nullptr; ++line) {
    const std::string_view text(*line);
    if (!text.starts_with("PG") && !text.starts_with("LC_ALL="))
      lines.emplace_back(text);
  }
  lines.emplace_back("LC_ALL=C");
  for (const auto& [name, value] : call.variables)
    lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts)
    pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// What the child's standard streams are to be.
struct Streams {
  int input = -1;
  int output = -1;
  int error = -1;
};

// Between fork and exec: nothing but system calls.
[[noreturn]] void become(char* const* arguments, char* const* environment, const Streams& streams,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (const int number : {SIGPIPE, SIGINT, SIGTERM})
    ::sigaction(number, &usual, nullptr);
  const bool is_orphan = ::getppid() != parent;
  const bool is_set = ::dup2(streams.input, STDIN_FILENO) >= 0 &&
                      ::dup2(streams.output, STDOUT_FILENO) >= 0 &&
                      ::dup2(streams.error, STDERR_FILENO) >= 0;
  if (is_set && !is_orphan)
    ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

bool is_program(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

void FileDescriptor::close() {
  if (number_ >= 0)
    ::close(std::exchange(number_, -1));
}

std::string find_program(const std::string& name, const std::string& folder) {
  if (!folder.empty()) {
    const std::string path = folder + "/" + name;
    if (is_program(path))
      return path;
    throw UsageError(fmt::format("there is no {} in {}", name, escaped_name(folder)),
                     "--pg-bin names the folder of PostgreSQL's client programs.");
  }
  const char* variable = std::getenv("PATH");
  std::istringstream folders(variable == nullptr ? "" : variable);
  for (std::string one; std::getline(folders, one, ':');) {
    if (!one.empty() && is_program(one + "/" + name))
      return one + "/" + name;
  }
  throw UsageError(fmt::format("there is no {} in PATH", name),
                   "Install PostgreSQL's client programs, or name their folder with --pg-bin.");
}

ChildProcess::ChildProcess(const ProgramCall& call, Pipes pipes)
    : name_(call.path.substr(call.path.rfind('/') + 1)) {
  Pipe in;
  Pipe out;
  FileDescriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  kept_error_ = open_memory("error");
  if (pipes == Pipes::input || pipes == Pipes::both)
    in = open_pipe();
  if (pipes == Pipes::output || pipes == Pipes::both)
    out = open_pipe();
  else
    kept_output_ = open_memory("output");
  const Streams streams{.input = in.read.is_open() ? in.read.number() : nothing.number(),
                        .output = out.write.is_open() ? out.write.number() : kept_output_.number(),
                        .error = kept_error_.number()};
  std::vector<std::string> arguments{call.path};
  arguments.insert(arguments.end(), call.arguments.begin(), call.arguments.end());
  std::vector<std::string> environment = environment_of(call);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0)
    fail("cannot start " + name_);
  if (pid_ == 0)
    become(argument_pointers.data(), environment_pointers.data(), streams, parent);
  input_ = std::move(in.write);
  output_ = std::move(out.read);
}

ChildProcess::~ChildProcess() {
  if (ended_)
    return;
  terminate();
  input_.close();
  output_.close();
  wait();
}

void ChildProcess::terminate() const {
  if (!ended_)
    ::kill(pid_, SIGTERM);
}

bool ChildProcess::wait() {
  int status = 0;
  while (!ended_) {
    const pid_t answer = ::waitpid(pid_, &status, 0);
    if (answer == pid_ || (answer < 0 && errno != EINTR)) {
      ended_ = true;
      succeeded_ = answer == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
  }
  return succeeded_;
}

std::string ChildProcess::output_text() const { return text_of(kept_output_); }
std::string ChildProcess::error_text() const { return text_of(kept_error_); }

int major_version(const std::string& path) {
  ChildProcess child({.path = path, .arguments = {"--version"}, .variables = {}},
                     ChildProcess::Pipes::none);
  const bool succeeded = child.wait();
  const std::string text = child.output_text();
  const std::size_t at = text.find_first_of("0123456789");
  int version = 0;
  if (at != std::string::npos)
    std::from_chars(text.data() + at, text.data() + text.size(), version);
  if (!succeeded || version == 0) {
    throw UsageError(fmt::format("{} does not tell its version", escaped_name(path)),
                     "--pg-bin names the folder of PostgreSQL's client programs.");
  }
  return version;
}

}  // namespace tenantctl
