#include "cli/reports.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "output/github.h"
#include "output/junit_writer.h"
#include "output/markdown_writer.h"

namespace tenantctl::cli {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool in_github_actions() { return variable("GITHUB_ACTIONS") == "true"; }

// Where GitHub counts a file's name from.
fs::path workspace() {
  const std::string named = variable("GITHUB_WORKSPACE");
  return named.empty() ? fs::current_path() : fs::path(named);
}

}  // namespace

Reports::Reports(const Context& context) : context_(context) {
  if (context.settings.dry_run || context.settings.sql)
    return;
  for (const std::string& name : context.settings.reports)
    open(name);
  if (in_github_actions())
    open_summary();
}

Reports::~Reports() {
  if (ended_)
    return;
  for (const auto& file : files_) {
    switch (file->format) {
      case Format::json_lines:
        break;  // says so itself
      case Format::junit:
        write_junit_error(file->stream, context_.command);
        break;
      case Format::markdown:
        file->stream << fmt::format("## tenantctl {}: ended by an error\n", context_.command);
        break;
    }
  }
}

void Reports::open(const std::string& name) {
  auto file = std::make_unique<File>();
  const std::string ending = lowered(fs::path(name).extension().string());
  if (ending == ".jsonl" || ending == ".ndjson") {
    file->format = Format::json_lines;
  } else if (ending == ".xml") {
    file->format = Format::junit;
  } else if (ending != ".md") {
    throw UsageError(fmt::format("--report {}: its ending tells no format", escaped_name(name)),
                     "End the name in .jsonl (JSON lines), .xml (JUnit) or .md (Markdown).");
  }
  const bool is_twice = std::any_of(files_.begin(), files_.end(), [&](const auto& other) {
    return fs::path(other->name).lexically_normal() == fs::path(name).lexically_normal();
  });
  if (is_twice) {
    throw UsageError(fmt::format("--report {} is given twice", escaped_name(name)),
                     "Each report needs a file of its own.");
  }
  file->name = name;
  errno = 0;
  file->stream.open(name, std::ios::binary | std::ios::trunc);
  if (!file->stream) {
    throw UsageError(
        fmt::format("cannot write the report {}: {}", escaped_name(name), std::strerror(errno)),
        "Nothing was touched. Check that the folder is there and may be written to.");
  }
  if (file->format == Format::json_lines)
    file->lines = std::make_unique<JsonLines>(file->stream);
  files_.push_back(std::move(file));
}

// Nobody asked for it by name, so that it is worth a warning and no more.
void Reports::open_summary() {
  const std::string name = variable("GITHUB_STEP_SUMMARY");
  if (name.empty())
    return;
  auto file = std::make_unique<File>();
  file->name = name;
  file->stream.open(name, std::ios::binary | std::ios::app);
  if (file->stream) {
    files_.push_back(std::move(file));
  } else {
    *context_.err << fmt::format("tenantctl: warning: cannot write the step's summary {}\n",
                                 escaped_name(name));
  }
}

void Reports::begin(const RunResult& head) {
  for (const auto& file : files_) {
    if (file->lines)
      file->lines->begin(head);
  }
}

std::vector<Observer*> Reports::observers(Scope scope) {
  std::vector<Observer*> observers;
  for (const auto& file : files_) {
    if (file->lines)
      observers.push_back(&file->lines->of(scope));
  }
  return observers;
}

void Reports::end(const RunResult& result, ExitCode exit_code) {
  ended_ = true;
  for (const auto& file : files_) {
    switch (file->format) {
      case Format::json_lines:
        file->lines->end(result, static_cast<int>(exit_code));
        break;
      case Format::junit:
        write_junit(file->stream, result);
        break;
      case Format::markdown:
        write_markdown(file->stream, result);
        break;
    }
    check_written(*file);
  }
  if (in_github_actions() && !context_.settings.dry_run && !context_.settings.sql)
    write_annotations(*context_.err, result, workspace(), fs::current_path());
}

// The schemas are what they are: a full disk beside them does not change the exit code.
void Reports::check_written(File& file) const {
  file.stream.flush();
  if (!file.stream) {
    *context_.err << fmt::format("tenantctl: warning: the report {} could not be written whole\n",
                                 escaped_name(file.name));
  }
}

void annotate(const Context& context, const Error& error) {
  if (in_github_actions())
    write_annotation(*context.err, error, workspace(), fs::current_path());
}

}  // namespace tenantctl::cli
