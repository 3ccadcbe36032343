#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <ostream>

#include "base/text.h"
#include "output/json_writer.h"
#include "output/move_writer.h"
#include "output/result_writer.h"
#include "output/table.h"

namespace tenantctl {
namespace {

// A terminal's worth of names; more are for a program, and --output json has them all.
constexpr std::size_t most_names = 200;

std::string speed_text(const Report& report) {
  const auto seconds = static_cast<double>(report.duration.count()) / 1'000.0;
  if (report.schemas.size() < 10 || seconds < 0.5) {
    return "";
  }
  return fmt::format(", {:.0f} schemas/s", static_cast<double>(report.schemas.size()) / seconds);
}

// What went through, in brackets; nothing if nothing did.
std::string work_text(const SchemaReport& schema) {
  const std::size_t revisions = schema.steps - schema.repeatables;
  std::vector<std::string> parts;
  if (revisions > 0) {
    parts.push_back(counted(revisions, "revision"));
  }
  if (schema.repeatables > 0) {
    parts.push_back(counted(schema.repeatables, "repeatable"));
  }
  return parts.empty() ? "" : fmt::format(" ({})", fmt::join(parts, ", "));
}

// One, or one in each of the databases that a run went to.
void write_shared(std::ostream& out, const RunResult& result) {
  constexpr std::size_t few = 3;
  if (result.shared->schemas.size() > few) {
    out << fmt::format("shared   {} ({} in {})\n", counts_text(*result.shared),
                       counted(result.shared->schemas.size(), "schema"),
                       duration_text(result.shared->duration));
    return;
  }
  for (const SchemaReport& schema : result.shared->schemas) {
    out << fmt::format("shared   {}: {}, at {}{}\n", escaped_name(schema.schema),
                       to_text(schema.result),
                       revision_text(*result.shared_folder, schema.revision), work_text(schema));
  }
}

void write_slowest(std::ostream& out, const Report& report) {
  std::vector<std::string> names;
  for (const SchemaReport* schema : is_long(report) ? slowest_of(report) : SchemaList()) {
    names.push_back(
        fmt::format("{} {}", escaped_name(schema->schema), duration_text(schema->duration)));
  }
  if (!names.empty()) {
    out << fmt::format("slowest  {}\n", fmt::join(names, ", "));
  }
}

void write_retried(std::ostream& out, const Report& report) {
  constexpr std::size_t most = 5;
  const auto retried = retried_of(report);
  if (retried.empty()) {
    return;
  }
  std::vector<std::string> names;
  for (const SchemaReport* schema : retried) {
    if (names.size() < most) {
      names.push_back(fmt::format("{} {}", escaped_name(schema->schema),
                                  counted(schema->tries, "failed try", "failed tries")));
    }
  }
  out << fmt::format("retried  {}: {}{}\n", counted(retried.size(), "schema"),
                     fmt::join(names, ", "), retried.size() > most ? ", ..." : "");
}

void write_appeared(std::ostream& out, const Report& report) {
  if (report.appeared == 0) {
    return;
  }
  std::vector<std::string_view> names;
  for (std::size_t i = report.schemas.size() - report.appeared; i < report.schemas.size(); ++i) {
    names.emplace_back(report.schemas[i].schema);
  }
  out << fmt::format("         {} that appeared meanwhile:\n{}", counted(names.size(), "tenant"),
                     wrapped_names(names, "           ", 100, shown_names(names.size())));
}

void write_tenants(std::ostream& out, const RunResult& result) {
  const Report& report = *result.tenants;
  if (report.schemas.empty()) {
    out << "tenants  none: nothing to do\n";
    return;
  }
  if (report.schemas.size() == 1) {
    const SchemaReport& schema = report.schemas.front();
    out << fmt::format("tenant   {}: {}, at {}{}\n", escaped_name(schema.schema),
                       to_text(schema.result),
                       revision_text(*result.tenant_folder, schema.revision), work_text(schema));
    write_appeared(out, report);
    return;
  }
  out << fmt::format("tenants  {} ({} in {}{})\n", counts_text(report),
                     counted(report.schemas.size(), "schema"), duration_text(report.duration),
                     speed_text(report));
  write_appeared(out, report);
  write_slowest(out, report);
  write_retried(out, report);
}

void write_hint(std::ostream& err, const Cause& cause, const RevisionFolder& folder) {
  const SchemaReport& example = *cause.example;
  if (example.failure == nullptr) {
    return;
  }
  if (!example.failure->hint.empty()) {
    err << "HINT: " << told(example.failure->hint) << '\n';
  } else if (example.result == Result::busy) {
    err << "HINT: Something held a lock that it needs: run the command again, or give more time "
           "with --lock-timeout.\n";
  } else if (!example.failure->revision.empty()) {
    err << fmt::format("HINT: {} is still at {}; mend the file and run the command again.\n",
                       cause.members.size() == 1 ? "The schema" : escaped_name(example.schema),
                       revision_text(folder, example.revision));
  }
}

void write_blockers(std::ostream& err, const Cause& cause) {
  constexpr std::size_t most = 3;
  const auto blockers = blockers_of(cause);
  for (std::size_t i = 0; i < std::min(blockers.size(), most); ++i) {
    const auto& [blocker, count] = blockers[i];
    err << fmt::format("  blocked by {}{}\n", blocker_text(*blocker),
                       count > 1 ? fmt::format(" ({})", counted(count, "schema")) : "");
  }
}

void write_cause(std::ostream& err, const Cause& cause, const RevisionFolder& folder) {
  const SchemaReport& example = *cause.example;
  const std::string who = cause.members.size() == 1 ? escaped_name(example.schema)
                                                    : counted(cause.members.size(), "schema");
  if (example.failure == nullptr) {
    err << fmt::format("tenantctl: {}: {}\n", who, to_text(example.result));
  } else {
    const Failure& failure = *example.failure;
    const std::string state =
        example.result == Result::failed ? "" : fmt::format("{}: ", to_text(example.result));
    err << fmt::format(
        "tenantctl: {}: {}{}{}\n", who, state, told(failure.message),
        failure.sqlstate.empty() ? "" : fmt::format(" (SQLSTATE {})", failure.sqlstate));
    if (failure.place) {
      err << place_text(*failure.place, "  ");
    }
  }
  write_blockers(err, cause);
  if (cause.members.size() > 1) {
    err << wrapped_names(cause.schemas(), "  ", 100, shown_names(cause.members.size()));
  }
  write_hint(err, cause, folder);
}

std::string upgrade_text(const Step& step) {
  if (step.revision->is_repeatable()) {
    return fmt::format("repeatable {}{}", step.revision->title(),
                       step.applies_again ? ", changed" : "");
  }
  return (step.resumes ? "finish " : "up ") + step.revision->title();
}

std::string downgrade_text(const Step& step) {
  const std::string text =
      (step.resumes ? "finish taking back " : "down ") + step.revision->title();
  const std::size_t forgotten = step.forgotten_repeatables();
  return forgotten == 0
             ? text
             : fmt::format("{}, forget {} (the next upgrade applies what the folder has)", text,
                           counted(forgotten, "repeatable"));
}

std::string record_text(const Step& step) {
  if (step.changes.empty()) {
    return "write the mark again";
  }
  if (step.is_about_repeatables()) {
    return fmt::format("forget {}", counted(step.forgotten_repeatables(), "repeatable"));
  }
  return fmt::format("record {}", counted(step.changes.size(), "row"));
}

std::string steps_text(const Plan& plan) {
  if (plan.empty()) {
    return "nothing to do";
  }
  std::vector<std::string> names;
  for (const Step& step : plan.steps) {
    switch (step.kind) {
      case Step::Kind::install:
        names.emplace_back("create the version table");
        break;
      case Step::Kind::upgrade:
        names.push_back(upgrade_text(step));
        break;
      case Step::Kind::downgrade:
        names.push_back(downgrade_text(step));
        break;
      case Step::Kind::record:
        names.push_back(record_text(step));
        break;
    }
  }
  return fmt::format("{}", fmt::join(names, "\n  "));
}

void write_plan_group(std::ostream& out, const FleetPlan::Group& group) {
  std::vector<std::string_view> names(group.schemas.begin(), group.schemas.end());
  out << fmt::format("{} {}", counted(group.schemas.size(), "schema"),
                     group.work.plan.from.count == 0
                         ? "at base"
                         : fmt::format("at revision {}", group.work.plan.from.head));
  if (group.work.missing == Missing::schema) {
    out << ", to be created";
  }
  out << '\n' << wrapped_names(names, "  = ", 100, 10);
  out << "  "
      << (group.problem ? fmt::format("{}: {}", to_text(group.result), told(group.problem->message))
                        : steps_text(group.work.plan))
      << '\n';
}

// The longest first.
void write_unended(std::ostream& out, std::vector<TenantMove> moves) {
  constexpr std::size_t shown = 10;
  if (moves.empty()) {
    return;
  }
  std::ranges::sort(moves, std::greater<>(), &TenantMove::age);
  out << fmt::format("\n{} not ended:\n", counted(moves.size(), "move is", "moves are"));
  for (std::size_t i = 0; i < std::min(shown, moves.size()); ++i) {
    out << fmt::format("  {}: {}: {}\n", moves[i].slug, unended_text(moves[i]),
                       ending_text(moves[i]));
  }
  if (moves.size() > shown) {
    out << fmt::format("  and {} more: tenantctl registry check names all\n", moves.size() - shown);
  }
}

void write_status_group(std::ostream& out, const StatusResult::Group& group, bool lists_all) {
  const std::vector<std::string_view> names(group.schemas.begin(), group.schemas.end());
  out << fmt::format("\n{}{}:\n", group.revision,
                     group.note.empty() ? "" : fmt::format(" ({})", escaped(group.note)))
      << wrapped_names(names, "  ", 100, lists_all ? names.size() : most_names);
}

bool is_at_head(const StatusResult::Group& group) {
  return group.behind == 0 && group.repeatables == 0 && group.note.empty();
}

std::string behind_text(const StatusResult::Group& group) {
  if (is_at_head(group)) {
    return "head";
  }
  if (group.repeatables == 0) {
    return fmt::to_string(group.behind);
  }
  const std::string repeatables = counted(group.repeatables, "repeatable");
  return group.behind == 0 ? repeatables : fmt::format("{} + {}", group.behind, repeatables);
}

// Laggards are named: not those at head, and not the bulk of the fleet, which is just due.
bool names_group(const StatusResult& scope, const StatusResult::Group& group) {
  constexpr std::size_t few = 20;
  if (is_at_head(group)) {
    return false;
  }
  std::size_t all = 0;
  for (const StatusResult::Group& other : scope.groups) {
    all += other.schemas.size();
  }
  const bool is_bulk = group.schemas.size() > few && group.schemas.size() * 2 > all;
  return !is_bulk || !group.note.empty();
}

}  // namespace

std::string revision_text(const RevisionFolder& folder, RevisionNumber number) {
  if (number == 0) {
    return "base";
  }
  const Revision* revision = folder.find(number);
  return revision == nullptr ? folder.digits_of(number) : revision->title();
}

namespace {

// As wide as the text. Tabs keep their width under the caret only if both lines have them.
std::string blanks_for(std::string_view text) {
  std::string blanks;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
    if (!continues) {
      blanks += c == '\t' ? '\t' : ' ';
    }
  }
  return blanks;
}

struct Excerpt {
  std::string line;
  std::string before;  // of it, what stands before the fault
};

// Of a line as long as a dump's INSERT what stands around the fault, `before` characters into it.
Excerpt excerpt_of(std::string_view line, std::size_t before) {
  constexpr std::size_t most = 400;
  const std::size_t characters = character_count(line);
  const bool is_long = characters > most;
  const std::size_t begin = is_long && before > most / 2 ? before - most / 2 : 0;
  line.remove_prefix(first_characters(line, begin).size());
  const std::string left = begin > 0 ? "..." : "";
  const std::string right = is_long && characters - begin > most ? "..." : "";
  const std::string_view shown = is_long ? first_characters(line, most) : line;
  return {.line = left + escaped(shown) + right,
          .before = left + escaped(first_characters(line, before - begin))};
}

}  // namespace

std::string place_text(const Place& place, std::string_view indent) {
  std::string text = fmt::format("{}{}", indent, escaped_name(place.file));
  if (place.line > 0) {
    text += fmt::format(":{}", place.line);
  }
  if (place.column > 0) {
    text += fmt::format(":{}", place.column);
  }
  text += "\n";
  if (place.line == 0 || place.text.empty()) {
    return text;
  }
  const auto column = static_cast<std::size_t>(std::max(place.column, 1));
  const Excerpt shown = excerpt_of(place.text, column - 1);
  text += fmt::format("{0}  {1}\n", indent, shown.line);
  if (place.column > 0) {
    text += fmt::format("{0}  {1}^\n", indent, blanks_for(shown.before));
  }
  return text;
}

// The names that were left out are in the document and in the reports.
void write_causes(std::ostream& err, const Report& report, const RevisionFolder& folder) {
  const std::vector<Cause> causes = causes_of(report);
  if (causes.size() > 1) {
    err << fmt::format("tenantctl: {} of {} with problems, {} causes\n", problem_count(report),
                       counted(report.schemas.size(), "schema"), causes.size());
  }
  std::size_t told = 0;
  bool names_all = causes.size() <= shown_causes;
  for (const Cause& cause : causes) {
    if (&cause - causes.data() == shown_causes) {
      break;
    }
    write_cause(err, cause, folder);
    told += cause.members.size();
    names_all = names_all && shown_names(cause.members.size()) == cause.members.size();
  }
  if (causes.size() > shown_causes) {
    err << fmt::format("tenantctl: {} more causes, of {}\n", causes.size() - shown_causes,
                       counted(problem_count(report) - told, "schema"));
  }
  if (!names_all) {
    err << "HINT: --output json and a --report name every schema.\n";
  }
  if (!report.stopped_by.empty()) {
    err << fmt::format("tenantctl: no further schema was started: {}\n",
                       tenantctl::told(report.stopped_by));
  }
}

void write_run(std::ostream& out, std::ostream& err, Format format, const RunResult& result) {
  if (format == Format::json) {
    write_json_run(out, result);
    out << '\n';
  } else {
    if (result.shared != nullptr) {
      write_shared(out, result);
    }
    if (result.tenants != nullptr) {
      write_tenants(out, result);
    }
    if (!result.outside.empty()) {
      const std::vector<std::string_view> names(result.outside.begin(), result.outside.end());
      out << fmt::format("not in the plan, not touched: {}\n{}", counted(names.size(), "schema"),
                         wrapped_names(names, "  ", 100, most_names));
    }
    out.flush();
  }
  for (const ScopeResult& scope : scopes_of(result)) {
    write_causes(err, *scope.report, *scope.folder);
  }
}

void write_plan(std::ostream& out, Format format, const PlanResult& result) {
  if (format == Format::json) {
    out << json_plan(result) << '\n';
    return;
  }
  for (const FleetPlan* plan : {result.shared, result.tenants}) {
    if (plan == nullptr) {
      continue;
    }
    out << (plan == result.shared ? "shared scope\n" : "tenant scope\n");
    if (plan->groups.empty()) {
      out << "no schema\n";
    }
    for (const FleetPlan::Group& group : plan->groups) {
      write_plan_group(out, group);
    }
  }
}

void write_status(std::ostream& out, Format format, std::string_view command,
                  const std::vector<StatusResult>& scopes, bool lists_all,
                  const std::vector<TenantMove>& moves) {
  if (format == Format::json) {
    out << json_status(command, scopes, moves) << '\n';
    return;
  }
  for (const StatusResult& scope : scopes) {
    out << fmt::format(
        "{} scope: {}{}, head {}\n", to_text(scope.scope), counted(scope.revisions, "revision"),
        scope.repeatables == 0 ? "" : ", " + counted(scope.repeatables, "repeatable"), scope.head);
    std::vector<std::vector<std::string>> rows{{"REVISION", "SCHEMAS", "BEHIND", ""}};
    for (const StatusResult::Group& group : scope.groups) {
      rows.push_back({group.revision, fmt::to_string(group.schemas.size()), behind_text(group),
                      escaped(group.note)});
    }
    if (scope.groups.empty()) {
      out << "no schema\n";
    } else {
      write_table(out, rows, {1, 2});
    }
    for (const StatusResult::Group& group : scope.groups) {
      if (lists_all || names_group(scope, group)) {
        write_status_group(out, group, lists_all);
      }
    }
    if (&scope != &scopes.back()) {
      out << '\n';
    }
  }
  write_unended(out, moves);
}

void write_error(std::ostream& out, std::ostream& err, Format format, std::string_view kind,
                 const Error& error) {
  if (format == Format::json) {
    out << json_error(kind, error) << std::endl;
  }
  // Findings stand one a line; other lines are a server's, or of a name, and none of ours.
  const bool has_lines = dynamic_cast<const FolderError*>(&error) != nullptr;
  err << "tenantctl: " << (has_lines ? with_short_lines(error.what()) : told(error.what())) << '\n';
  if (error.place()) {
    err << place_text(*error.place(), "  ");
  }
  if (!error.hint().empty()) {
    err << "HINT: " << told(error.hint()) << '\n';
  }
}

}  // namespace tenantctl
