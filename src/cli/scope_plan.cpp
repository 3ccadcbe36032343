#include "cli/scope_plan.h"

#include <fmt/format.h>

namespace tenantctl::cli {
namespace {

Replan replan_of(const Migration& migration, const RevisionFolder& folder, SharedScope& shared) {
  return [&migration, &folder, &shared](const History& history, Missing missing) {
    Plan plan = migration.plan(folder, history, missing);
    check_shared(plan, [&shared](RevisionNumber number) { return shared.has(number); });
    return plan;
  };
}

// Rows that do not add up can still be replaced.
void repair(std::vector<Standing>& standings) {
  for (Standing& standing : standings) {
    if (standing.state == Standing::State::broken && !standing.history.empty()) {
      standing.state = Standing::State::unmarked;
    }
  }
}

// Whoever repairs is told nothing by a mark that may be part of what is wrong.
std::vector<Standing> standings_for(Session& session, const Selected& selected,
                                    const RevisionFolder& folder, const Migration& migration) {
  if (migration.standings)
    return migration.standings(session, selected.fleet, selected.schemas, folder);
  if (!migration.repairs)
    return session.standings(selected.fleet, selected.schemas, folder);
  std::vector<Standing> standings =
      session.deep_standings(selected.fleet, selected.schemas, folder.scope());
  repair(standings);
  return standings;
}

}  // namespace

ScopeRun plan_scope(Session& session, const Selected& selected, const RevisionFolder& folder,
                    const Migration& migration, SharedScope& shared) {
  ScopeRun run;
  run.scope = folder.scope();
  run.replan = replan_of(migration, folder, shared);
  std::vector<Standing> standings = standings_for(session, selected, folder, migration);
  const Missing create =
      folder.scope() == Scope::shared ? migration.create_shared : migration.create;
  run.plan =
      plan_fleet(selected.fleet, standings, folder, run.replan, create, selected.only_behind);
  if (migration.revise)
    run.outside = migration.revise(run.plan, folder.scope());
  return run;
}

std::vector<std::uint32_t> all_of(const Fleet& fleet) {
  std::vector<std::uint32_t> indexes(fleet.schemas.size());
  for (std::uint32_t i = 0; i < indexes.size(); ++i)
    indexes[i] = i;
  return indexes;
}

void refuse_unprepared(const Context& context, const FleetPlan& plan) {
  for (const FleetPlan::Group& group : plan.groups) {
    if (!group.problem)
      continue;
    const bool missing = group.result == Result::missing;
    if (!missing && group.result != Result::unmarked)
      continue;
    throw UsageError(
        fmt::format("schema \"{}\" {}", group.schemas.front(),
                    missing ? "does not exist" : "has no version table"),
        fmt::format("{} {} {}{}.",
                    missing ? "tenantctl tenant create" : "tenantctl tenant adopt --schema",
                    group.schemas.front(), missing ? "makes it" : "gives it one",
                    context.command == "upgrade" ? "; so does --create" : ""));
  }
}

}  // namespace tenantctl::cli
