#include "output/junit_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"

namespace tenantctl {
namespace {

/// A test case of one schema.
struct Case {
  enum class Kind { passed, failed, skipped };
  std::string name;
  Kind kind = Kind::passed;
};

struct Totals {
  std::size_t tests = 0;
  std::size_t failures = 0;
  std::size_t skipped = 0;

  void add(const std::vector<Case>& cases) {
    const auto count = [&](Case::Kind kind) {
      return static_cast<std::size_t>(std::ranges::count(cases, kind, &Case::kind));
    };
    tests += cases.size();
    failures += count(Case::Kind::failed);
    skipped += count(Case::Kind::skipped);
  }
};

std::string step_name(const Step& step) {
  switch (step.kind) {
    case Step::Kind::install:
      return "version table";
    case Step::Kind::upgrade:
    case Step::Kind::downgrade:
      return step.revision->title();
    case Step::Kind::record:
      break;
  }
  return "record";
}

// A problem that is no failure of the schema's: the run did not get that far.
bool is_skip(Result result) {
  return result == Result::not_started || result == Result::interrupted || result == Result::gone;
}

class ScopeCases {
 public:
  explicit ScopeCases(const ScopeResult& scope) : scope_(scope) {
    if (scope.plan == nullptr) {
      return;
    }
    for (const FleetPlan::Group& group : scope.plan->groups) {
      for (const std::string& schema : group.schemas) {
        plans_.emplace_back(schema, &group.work.plan);
      }
    }
    std::sort(plans_.begin(), plans_.end());
  }

  std::vector<Case> of(const SchemaReport& schema) const {
    std::vector<Case> cases = planned(schema);
    if (cases.size() < schema.steps || !leads_to_revision(schema)) {
      cases = travelled(schema);
    }
    judge(cases, schema);
    if (cases.empty()) {
      Case only{.name = std::string(to_text(schema.result)), .kind = Case::Kind::passed};
      if (is_problem(schema.result) || is_skip(schema.result)) {
        only.kind = is_skip(schema.result) ? Case::Kind::skipped : Case::Kind::failed;
      }
      cases.push_back(std::move(only));
    }
    return cases;
  }

 private:
  const Plan* plan_of(const SchemaReport& schema) const {
    const auto found = std::ranges::lower_bound(plans_, std::string_view(schema.schema), {},
                                                &std::pair<std::string_view, const Plan*>::first);
    return found != plans_.end() && found->first == schema.schema ? found->second : nullptr;
  }

  // Somebody else's run, or a plan made again on the way, may have led elsewhere.
  bool leads_to_revision(const SchemaReport& schema) const {
    const Plan* plan = plan_of(schema);
    if (plan == nullptr || schema.steps > plan->steps.size()) {
      return false;
    }
    const Mark& reached = schema.steps == 0 ? plan->from : plan->steps[schema.steps - 1].mark;
    return reached.head == schema.revision;
  }

  std::vector<Case> planned(const SchemaReport& schema) const {
    std::vector<Case> cases;
    if (const Plan* plan = plan_of(schema)) {
      for (const Step& step : plan->steps) {
        const bool went_through = cases.size() < schema.steps;
        cases.push_back({.name = step_name(step),
                         .kind = went_through ? Case::Kind::passed : Case::Kind::skipped});
      }
    }
    return cases;
  }

  // The folder's revisions between where it stood and where it stands, in either direction.
  std::vector<Case> travelled(const SchemaReport& schema) const {
    std::vector<Case> cases;
    const auto [low, high] = std::minmax(schema.from, schema.revision);
    for (const Revision& revision : scope_.folder->revisions()) {
      if (revision.number > low && revision.number <= high) {
        cases.push_back({.name = revision.title(), .kind = Case::Kind::passed});
      }
    }
    if (schema.revision < schema.from) {
      std::reverse(cases.begin(), cases.end());
    }
    return cases;
  }

  // Which of the cases that did not pass is the one that failed.
  static void judge(std::vector<Case>& cases, const SchemaReport& schema) {
    if (!is_problem(schema.result) || is_skip(schema.result)) {
      return;
    }
    const std::string name = schema.failure == nullptr ? "" : schema.failure->revision;
    const auto open = std::ranges::find(cases, Case::Kind::skipped, &Case::kind);
    auto failed = name.empty() ? open : std::ranges::find(open, cases.end(), name, &Case::name);
    if (failed == cases.end()) {
      failed = cases.insert(
          open, {.name = name.empty() ? std::string(to_text(schema.result)) : name, .kind = {}});
    }
    failed->kind = Case::Kind::failed;
  }

  const ScopeResult& scope_;
  std::vector<std::pair<std::string_view, const Plan*>> plans_;  // by schema
};

std::string seconds_text(std::chrono::milliseconds duration) {
  return fmt::format("{:.3f}", static_cast<double>(duration.count()) / 1'000.0);
}

std::string totals_text(const Totals& totals, std::chrono::milliseconds duration) {
  return fmt::format(R"(tests="{}" failures="{}" errors="0" skipped="{}" time="{}")", totals.tests,
                     totals.failures, totals.skipped, seconds_text(duration));
}

void write_failure(std::ostream& out, const SchemaReport& schema) {
  const std::string_view result = to_text(schema.result);
  if (schema.failure == nullptr) {
    out << fmt::format("      <failure message=\"{0}\" type=\"{0}\"/>\n", result);
    return;
  }
  const Failure& failure = *schema.failure;
  std::string text = failure.message + "\n";
  if (!failure.sqlstate.empty()) {
    text += fmt::format("SQLSTATE {}\n", failure.sqlstate);
  }
  if (failure.place) {
    text += place_text(*failure.place, "");
  }
  if (schema.blocker != nullptr) {
    text += "blocked by " + blocker_text(*schema.blocker) + "\n";
  }
  if (!failure.hint.empty()) {
    text += "HINT: " + failure.hint + "\n";
  }
  out << fmt::format("      <failure message=\"{}\" type=\"{}\">{}</failure>\n",
                     xml_text(single_line(failure.message)),
                     xml_text(failure.sqlstate.empty() ? result : failure.sqlstate),
                     xml_text(text));
}

void write_case(std::ostream& out, const ScopeResult& scope, const SchemaReport& schema,
                const Case& one, bool is_only) {
  out << fmt::format(R"(    <testcase classname="{}.{}" name="{}")", to_text(scope.scope),
                     xml_text(schema.schema), xml_text(one.name));
  // What was measured is the schema; it is a revision's time only if there was one.
  if (is_only) {
    out << fmt::format(R"( time="{}")", seconds_text(schema.duration));
  }
  switch (one.kind) {
    case Case::Kind::passed:
      out << "/>\n";
      return;
    case Case::Kind::failed:
      out << ">\n";
      write_failure(out, schema);
      break;
    case Case::Kind::skipped:
      out << fmt::format(">\n      <skipped message=\"not run: {}\"/>\n", to_text(schema.result));
      break;
  }
  out << "    </testcase>\n";
}

void write_suite(std::ostream& out, const ScopeResult& scope, const SchemaReport& schema,
                 const std::vector<Case>& cases) {
  Totals totals;
  totals.add(cases);
  const auto property = [](std::string_view name, std::string_view value) {
    return fmt::format(R"(<property name="{}" value="{}"/>)", name, xml_text(value));
  };
  out << fmt::format("  <testsuite name=\"{}\" {}>\n    <properties>{}{}{}{}</properties>\n",
                     xml_text(schema.schema), totals_text(totals, schema.duration),
                     property("scope", to_text(scope.scope)),
                     property("result", to_text(schema.result)),
                     property("from", revision_text(*scope.folder, schema.from)),
                     property("revision", revision_text(*scope.folder, schema.revision)));
  for (const Case& one : cases) {
    write_case(out, scope, schema, one, cases.size() == 1);
  }
  out << "  </testsuite>\n";
}

}  // namespace

void write_junit(std::ostream& out, const RunResult& result) {
  const std::vector<ScopeResult> scopes = scopes_of(result);
  Totals totals;
  std::chrono::milliseconds duration{0};
  for (const ScopeResult& scope : scopes) {
    const ScopeCases cases(scope);
    for (const SchemaReport& schema : scope.report->schemas) {
      totals.add(cases.of(schema));
    }
    duration += scope.report->duration;
  }
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      << fmt::format("<testsuites name=\"tenantctl {}\" {}>\n", xml_text(result.command),
                     totals_text(totals, duration));
  for (const ScopeResult& scope : scopes) {
    const ScopeCases cases(scope);
    for (const SchemaReport& schema : scope.report->schemas) {
      write_suite(out, scope, schema, cases.of(schema));
    }
  }
  out << "</testsuites>\n";
}

void write_junit_error(std::ostream& out, std::string_view command) {
  out << fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"tenantctl {0}\" tests=\"1\" failures=\"0\" errors=\"1\">\n"
      "  <testsuite name=\"tenantctl\" tests=\"1\" failures=\"0\" errors=\"1\">\n"
      "    <testcase classname=\"tenantctl\" name=\"{0}\">\n"
      "      <error message=\"the run ended before its report; its standard error says why\"/>\n"
      "    </testcase>\n  </testsuite>\n</testsuites>\n",
      xml_text(command));
}

std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : escaped(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  // U+FFFE and U+FFFF are characters of UTF-8 and not of XML.
  for (const std::string_view none : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"}) {
    for (std::size_t at = out.find(none); at != std::string::npos; at = out.find(none)) {
      out.replace(at, none.size(), "?");
    }
  }
  return out;
}

}  // namespace tenantctl
