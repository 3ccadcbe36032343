#include "output/markdown_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "base/text.h"

namespace tenantctl {
namespace {

// As many backticks as no run of them in the text has.
std::string fence_for(std::string_view text, std::size_t least) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return std::string(std::max(least, longest + 1), '`');
}

void write_counts(std::ostream& out, const std::vector<ScopeResult>& scopes) {
  out << "| scope | result | schemas |\n|---|---|---:|\n";
  for (const ScopeResult& scope : scopes) {
    const auto counts = scope.report->counts();
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts.at(i) > 0) {
        out << fmt::format("| {} | {} | {} |\n", to_text(scope.scope),
                           to_text(static_cast<Result>(i)), counts.at(i));
      }
    }
    out << fmt::format("| {} | **all** | **{}** |\n", to_text(scope.scope),
                       scope.report->schemas.size());
  }
}

std::string names_text(const std::vector<std::string_view>& names) {
  const std::size_t shown = shown_names(names.size());
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    text += (text.empty() ? "" : ", ") + markdown_code(names[i]);
  }
  return names.size() > shown ? fmt::format("{} and {} more", text, names.size() - shown) : text;
}

void write_cause(std::ostream& out, const Cause& cause) {
  const SchemaReport& example = *cause.example;
  out << fmt::format("\n**{}: {}**\n", counted(cause.members.size(), "schema"),
                     to_text(example.result));
  if (example.failure != nullptr) {
    const Failure& failure = *example.failure;
    std::string text = told(failure.message);
    text += failure.sqlstate.empty() ? "\n" : fmt::format(" (SQLSTATE {})\n", failure.sqlstate);
    text += failure.place ? place_text(*failure.place, "") : "";
    const std::string fence = fence_for(text, 3);
    out << fmt::format("\n{0}\n{1}{0}\n", fence, text);
    if (!failure.hint.empty()) {
      out << fmt::format("\n{}\n", markdown_code(failure.hint));
    }
  }
  const auto blockers = blockers_of(cause);
  if (!blockers.empty()) {
    const auto& [blocker, count] = blockers.front();
    out << fmt::format("\nblocked by {} ({})\n", markdown_code(blocker_text(*blocker)),
                       counted(count, "schema"));
  }
  out << fmt::format("\n{}\n", names_text(cause.schemas()));
}

void write_causes(std::ostream& out, const ScopeResult& scope) {
  const std::vector<Cause> causes = causes_of(*scope.report);
  if (causes.empty()) {
    return;
  }
  out << fmt::format("\n### {} scope: {} with problems, {}\n", to_text(scope.scope),
                     counted(problem_count(*scope.report), "schema"),
                     counted(causes.size(), "cause"));
  for (std::size_t i = 0; i < std::min(causes.size(), shown_causes); ++i) {
    write_cause(out, causes[i]);
  }
  if (causes.size() > shown_causes) {
    out << fmt::format("\nand {} more causes\n", causes.size() - shown_causes);
  }
}

void write_times(std::ostream& out, const Report& report) {
  const auto slowest = slowest_of(report);
  if (!slowest.empty()) {
    out << "\n| slowest | time |\n|---|---:|\n";
  }
  for (const SchemaReport* schema : slowest) {
    out << fmt::format("| {} | {} |\n", markdown_code(schema->schema),
                       duration_text(schema->duration));
  }
  const auto retried = retried_of(report);
  if (!retried.empty()) {
    std::vector<std::string_view> names;
    for (const SchemaReport* schema : retried) {
      names.emplace_back(schema->schema);
    }
    out << fmt::format("\nretried: {}: {}\n", counted(retried.size(), "schema"), names_text(names));
  }
}

}  // namespace

void write_markdown(std::ostream& out, const RunResult& result) {
  const std::vector<ScopeResult> scopes = scopes_of(result);
  std::chrono::milliseconds duration{0};
  bool has_problem = false;
  for (const ScopeResult& scope : scopes) {
    duration += scope.report->duration;
    has_problem = has_problem || scope.report->has_problem();
  }
  out << fmt::format("## tenantctl {} {}: {}\n\nrun {}, {}\n\n", result.command,
                     markdown_code(result.target), has_problem ? "failed" : "ok",
                     markdown_code(result.run_id), duration_text(duration));
  write_counts(out, scopes);
  for (const ScopeResult& scope : scopes) {
    if (scope.report->appeared > 0) {
      out << fmt::format("\n{} that appeared meanwhile\n",
                         counted(scope.report->appeared, "tenant"));
    }
    write_causes(out, scope);
    if (!scope.report->stopped_by.empty()) {
      out << fmt::format("\nNo further schema was started: {}\n",
                         markdown_code(scope.report->stopped_by));
    }
    write_times(out, *scope.report);
  }
}

std::string markdown_code(std::string_view text) {
  std::string line;
  for (const char c : single_line(text)) {
    // A table's cell ends at a bar even within code.
    line += c == '|' ? std::string("\\|") : std::string(1, c);
  }
  const std::string fence = fence_for(line, 1);
  // A backtick at an end would join the fence.
  const bool needs_blank = line.empty() || line.front() == '`' || line.back() == '`';
  return needs_blank ? fmt::format("{0} {1} {0}", fence, line)
                     : fmt::format("{0}{1}{0}", fence, line);
}

}  // namespace tenantctl
