#pragma once

#include <iosfwd>
#include <memory>
#include <string_view>

#include "output/result_writer.h"
#include "rollout/observer.h"

namespace tenantctl {

/// A run as one JSON object a line, each written and flushed when it happens, so that what a killed
/// run did stands in the file: `run-started`, `schema-finished`, `wave-started`, and at last
/// `run-ended` with the counts, or `run-aborted`. README.md describes them; `format_version` is in
/// the first.
class JsonLines {
 public:
  /// `out` must outlive this. An exception before end() makes `run-aborted` the last line.
  explicit JsonLines(std::ostream& out);
  ~JsonLines();
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  /// Writes `run-started`. The folders must outlive this.
  void begin(const RunResult& head);
  /// To be told of one scope's rollouts, after begin(); lives as long as this.
  Observer& of(Scope scope);
  /// Writes the schemas that no rollout has named (refused while planning, never started), and the
  /// counts. `exit_code` is what the program will return.
  void end(const RunResult& result, int exit_code);

 private:
  class ScopeLines;

  ScopeLines& lines_of(Scope scope) { return scope == Scope::shared ? *shared_ : *tenants_; }

  std::ostream& out_;
  std::unique_ptr<ScopeLines> shared_;
  std::unique_ptr<ScopeLines> tenants_;
  bool ended_ = false;
};

}  // namespace tenantctl
