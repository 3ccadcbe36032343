#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "cli/context.h"
#include "output/json_lines.h"
#include "output/result_writer.h"

namespace tenantctl::cli {

/// What a run leaves behind besides its result: the files of --report, and in GitHub Actions the
/// step's summary and annotations. A dry run leaves nothing. Not ended, because an exception is on
/// its way, the files say that the run was aborted.
class Reports {
 public:
  /// Opens and empties the files, before anything is touched. Throws UsageError: a name whose end
  /// tells no format, a file that cannot be written.
  explicit Reports(const Context& context);
  ~Reports();
  Reports(const Reports&) = delete;
  Reports& operator=(const Reports&) = delete;

  /// `head` has what is known before the first schema: all but the reports.
  void begin(const RunResult& head);
  /// Who must be told of a scope's rollouts.
  std::vector<Observer*> observers(Scope scope);
  void end(const RunResult& result, ExitCode exit_code);

 private:
  enum class Format { json_lines, junit, markdown };
  struct File {
    std::string name;
    Format format = Format::markdown;
    std::ofstream stream;
    std::unique_ptr<JsonLines> lines;
  };

  void open(const std::string& name);
  void open_summary();
  void check_written(File& file) const;

  const Context& context_;
  std::vector<std::unique_ptr<File>> files_;
  bool ended_ = false;
};

/// In GitHub Actions an annotation for an error that ended the command; elsewhere nothing.
void annotate(const Context& context, const Error& error);

}  // namespace tenantctl::cli
