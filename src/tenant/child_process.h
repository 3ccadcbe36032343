#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "pq/connection.h"

namespace tenantctl {

/// An open file that is closed with its owner. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  void close();

 private:
  int number_ = -1;
};

/// One of PostgreSQL's own programs, by its path, with what stands behind it. Never a shell.
struct ProgramCall {
  std::string path;
  std::vector<std::string> arguments;
  /// PG* variables; those of our own environment are not handed on.
  std::vector<std::pair<std::string, std::string>> variables;
};

/// The path of a program: in `folder` if that is named, else in PATH. Throws UsageError if it is
/// not there.
std::string find_program(const std::string& name, const std::string& folder);

/// A program that runs beside us, in a process group of its own (a terminal's Ctrl-C is ours to
/// act on) and ends with us whatever ends us. Its standard error, and its output where nobody reads
/// that, are kept in memory. Ended by SIGTERM if it still runs when the object goes.
class ChildProcess {
 public:
  enum class Pipes { none, input, output, both };

  /// Throws Error if it cannot be started.
  ChildProcess(const ProgramCall& call, Pipes pipes);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  FileDescriptor& input() { return input_; }
  FileDescriptor& output() { return output_; }

  /// Waits until it has ended; true if it says that all went well.
  bool wait();
  void terminate() const;

  const std::string& name() const { return name_; }
  std::string output_text() const;  ///< where it has no pipe
  std::string error_text() const;

 private:
  std::string name_;
  pid_t pid_ = -1;
  bool ended_ = false;
  bool succeeded_ = false;
  FileDescriptor input_;
  FileDescriptor output_;
  FileDescriptor kept_output_;
  FileDescriptor kept_error_;
};

/// The major version of such a program, by asking it. Throws UsageError if it does not tell.
int major_version(const std::string& path);

}  // namespace tenantctl
