#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/scope_plan.h"
#include "cli/session.h"
#include "cli/status.h"
#include "cli/survey.h"
#include "output/result_writer.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

std::string place_text(const Mark& mark, const RevisionFolder& folder) {
  return fmt::format(
      "{} ({}{})", revision_text(folder, mark.head), counted(mark.count, "revision"),
      mark.running == 0 ? "" : ", half-way in " + revision_text(folder, mark.running));
}

std::string lie_text(const Standing& standing, const RevisionFolder& folder) {
  const Mark& rows = standing.mark;
  const Mark& claimed = standing.claimed;
  const std::string truth = place_text(rows, folder);
  std::string claim = place_text(claimed, folder);
  if (claim == truth) {
    claim = claimed.scope != rows.scope     ? "another scope"
            : claimed.digest != rows.digest ? "another digest"
                                            : "other repeatables";
  }
  return fmt::format("the mark lies: rows say {}, the mark {}", truth, claim);
}

std::string note_of(const Standing& standing, const RevisionFolder& folder) {
  switch (standing.state) {
    case Standing::State::marked:
      return "";
    case Standing::State::unmarked:
      return "unmarked: its mark is lost; the next upgrade writes it";
    case Standing::State::lying:
      return lie_text(standing, folder);
    case Standing::State::bare:
      return "unmarked: no version table";
    case Standing::State::foreign:
      return "foreign: its version table is not ours alone";
    case Standing::State::missing:
      return "missing: no such schema";
    case Standing::State::dropping:
      return "half-dropped";
    case Standing::State::unavailable:
      return "unavailable: " + standing.problem;
    case Standing::State::broken:
      break;
  }
  return standing.problem;
}

// A repeatable that is only to be forgotten is nobody's concern.
void count_pending(StatusResult::Group& group, const Plan& plan) {
  for (const Step& step : plan.steps) {
    if (step.revision == nullptr)
      continue;
    ++(step.revision->is_repeatable() ? group.repeatables : group.behind);
  }
}

}  // namespace

StatusResult::Group group_of(const Standing& standing, const Fleet& fleet,
                             const RevisionFolder& folder) {
  StatusResult::Group group;
  group.state = standing.state;
  group.revision = revision_text(folder, standing.mark.head);
  group.note = note_of(standing, folder);
  const bool lies = standing.state == Standing::State::lying;
  const bool known = lies || standing.state == Standing::State::marked ||
                     standing.state == Standing::State::unmarked;
  if (!known)
    group.revision = "-";
  if (known) {
    if (standing.mark.running != 0 && !lies) {
      group.note = fmt::format("half-way in revision {}, outside a transaction",
                               revision_text(folder, standing.mark.running));
    }
    try {
      count_pending(group, plan_upgrade(folder, standing.history, Target::head()));
    } catch (const Error& error) {
      group.note = lies ? fmt::format("{}; {}", group.note, error.what()) : error.what();
    }
  }
  for (const std::uint32_t i : standing.members)
    group.schemas.push_back(fleet.schemas[i].schema);
  return group;
}

namespace {

bool is_at_head(const StatusResult::Group& group) {
  return group.behind == 0 && group.repeatables == 0 && group.note.empty();
}

// Histories may differ in their order and still be the same to a reader.
void merge(std::vector<StatusResult::Group>& groups, StatusResult::Group&& group) {
  const auto same = std::find_if(groups.begin(), groups.end(), [&group](const auto& other) {
    return other.state == group.state && other.revision == group.revision &&
           other.behind == group.behind && other.repeatables == group.repeatables &&
           other.note == group.note;
  });
  if (same == groups.end()) {
    groups.push_back(std::move(group));
    return;
  }
  same->schemas.insert(same->schemas.end(), group.schemas.begin(), group.schemas.end());
  std::sort(same->schemas.begin(), same->schemas.end());
}

/// Standings and the fleet that they are about.
struct Part {
  const Fleet& fleet;
  const std::vector<Standing>& standings;
};

StatusResult status_of(const std::vector<Part>& parts, const RevisionFolder& folder,
                       bool only_behind) {
  StatusResult result;
  result.scope = folder.scope();
  result.revisions = folder.revisions().size();
  result.repeatables = folder.repeatables().size();
  result.head = folder.empty() ? "base" : folder.revisions().back().title();
  for (const Part& part : parts) {
    for (const Standing& standing : part.standings) {
      StatusResult::Group group = group_of(standing, part.fleet, folder);
      if (only_behind && is_at_head(group))
        continue;
      merge(result.groups, std::move(group));
    }
  }
  std::stable_sort(result.groups.begin(), result.groups.end(), [](const auto& a, const auto& b) {
    return std::tuple(!a.note.empty(), a.behind, a.repeatables) <
           std::tuple(!b.note.empty(), b.behind, b.repeatables);
  });
  return result;
}

/// The fleet, and the moves of its tenants that nobody has ended.
struct FleetStatus {
  std::vector<StatusResult> scopes;
  std::vector<TenantMove> moves;
};

FleetStatus read_status(const Context& context, bool tells_moves) {
  const Settings& settings = context.settings;
  const Selection chosen = selection(context);
  const Folders folders = read_folders(context);
  Session session(context);
  const Fleet fleet = session.everywhere();
  const auto selected = session.select(fleet, chosen);
  const bool has_shared = !folders.shared.is_blank();
  std::vector<std::uint32_t> here;
  Fleet elsewhere;
  const FoundSchema* found = has_shared ? fleet.find(settings.shared_schema) : nullptr;
  if (found != nullptr)
    here.push_back(static_cast<std::uint32_t>(found - fleet.schemas.data()));
  if (has_shared)
    add_shared(elsewhere, context, fleet, selected);
  const std::vector<SurveyPart> parts{{&fleet, here, &folders.shared},
                                      {&elsewhere, all_of(elsewhere), &folders.shared},
                                      {&fleet, selected, &folders.tenant}};
  const auto standings = survey(session, context, parts,
                                {.reading = settings.deep ? rows_reading(context, session)
                                                          : marks_reading(context, session)});
  std::vector<StatusResult> results;
  if (has_shared) {
    results.push_back(
        status_of({{fleet, standings[0]}, {elsewhere, standings[1]}}, folders.shared, false));
    if (found == nullptr) {
      results.back().groups.push_back({.state = Standing::State::missing,
                                       .revision = "-",
                                       .behind = folders.shared.revisions().size(),
                                       .repeatables = folders.shared.repeatables().size(),
                                       .note = "missing: the first upgrade makes it",
                                       .schemas = {settings.shared_schema}});
    }
  }
  results.push_back(status_of({{fleet, standings[2]}}, folders.tenant, chosen.only_behind));
  for (const auto& [name, problem] : session.unread(chosen)) {
    results.back().groups.push_back({.state = Standing::State::unavailable,
                                     .revision = "-",
                                     .note = "unavailable: " + problem,
                                     .schemas = {name}});
  }
  return {.scopes = std::move(results),
          .moves = tells_moves ? unended_moves(context, session) : std::vector<TenantMove>{}};
}

// What was not seen is neither at head nor behind.
bool is_complete(const std::vector<StatusResult>& results) {
  return std::ranges::none_of(results, [](const StatusResult& result) {
    return std::ranges::any_of(result.groups, [](const auto& group) {
      return group.state == Standing::State::unavailable;
    });
  });
}

bool is_at_head(const std::vector<StatusResult>& results) {
  return std::all_of(results.begin(), results.end(), [](const StatusResult& result) {
    return std::all_of(result.groups.begin(), result.groups.end(),
                       [](const auto& group) { return is_at_head(group); });
  });
}

void describe_survey(CLI::App& command, Settings& settings) {
  describe_schemas(command, settings);
  describe_selection(command, settings);
  describe_output(command, settings);
  describe_folder(command, settings);
  describe_connection(command, settings);
  add_switch(command, "--deep", settings.deep, "read every version table: find marks that lie");
  add_switch(command, "-q,--quiet", settings.quiet, "no warnings");
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("status", "the fleet by version, laggards named");
  auto all = std::make_shared<bool>(false);
  describe_survey(*command, context.settings);
  add_switch(*command, "--all", *all, "name also the schemas at head");
  add_example(*command, "tenantctl status --only-behind");
  command->callback([&context, all] {
    context.run = [&context, all] {
      const auto [results, moves] = read_status(context, true);
      write_status(*context.out, context.settings.output, context.command, results, *all, moves);
      return is_complete(results) ? ExitCode::ok : ExitCode::failed;
    };
  });
}

void add_check(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "check", "for CI: exit 4 unless every schema is at head, unedited, marked");
  describe_survey(*command, context.settings);
  add_example(*command, "tenantctl check --output json");
  command->callback([&context] {
    context.run = [&context] {
      const std::vector<StatusResult> results = read_status(context, false).scopes;
      write_status(*context.out, context.settings.output, context.command, results, false);
      if (!is_complete(results))
        return ExitCode::failed;
      return is_at_head(results) ? ExitCode::ok : ExitCode::findings;
    };
  });
}

}  // namespace tenantctl::cli
