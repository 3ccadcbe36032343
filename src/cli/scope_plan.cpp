#include "cli/scope_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cli/survey.h"

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
std::vector<Standing> repaired(std::vector<Standing> standings) {
  for (Standing& standing : standings) {
    if (standing.state == Standing::State::broken && !standing.history.empty()) {
      standing.state = Standing::State::unmarked;
    }
  }
  return standings;
}

// Whoever repairs is told nothing by a mark that may be part of what is wrong.
Reading reading_of(const Planning& planning) {
  if (planning.migration.reading)
    return planning.migration.reading;
  if (!planning.migration.repairs)
    return marks_reading(planning.context, planning.session);
  return [rows = rows_reading(planning.context, planning.session)](
             pq::Pipeline& pipeline, const Fleet& fleet, const std::vector<std::uint32_t>& selected,
             const RevisionFolder& folder) {
    return repaired(rows(pipeline, fleet, selected, folder));
  };
}

// What nobody could read is no schema, but part of what was to be gone over.
void add_unread(FleetPlan& plan) {
  for (const auto& [name, problem] : plan.unread) {
    // A plan out of a file knows who is there.
    if (std::ranges::any_of(plan.groups, [&name = name](const FleetPlan::Group& group) {
          return group.result == Result::unavailable && group.schemas.front().starts_with(name);
        }))
      continue;
    FleetPlan::Group group;
    group.state = Standing::State::unavailable;
    group.result = Result::unavailable;
    group.problem = Failure{.message = problem,
                            .hint = "Nothing of that cluster was touched; give the command again.",
                            .sqlstate = {},
                            .revision = {},
                            .place = std::nullopt};
    group.schemas = {name};
    plan.groups.push_back(std::move(group));
  }
}

ScopeRun plan_scope(const Planning& planning, const Selected& selected,
                    const RevisionFolder& folder, const std::vector<Standing>& standings,
                    const std::map<std::string, std::string>& unread = {}) {
  const Migration& migration = planning.migration;
  ScopeRun run;
  run.scope = folder.scope();
  run.replan = replan_of(migration, folder, planning.shared_scope);
  const Missing create =
      folder.scope() == Scope::shared ? migration.create_shared : migration.create;
  run.plan =
      plan_fleet(selected.fleet, standings, folder, run.replan, create, selected.only_behind);
  run.plan.unread = unread;
  if (migration.revise)
    run.outside = migration.revise(run.plan, folder.scope());
  return run;
}

// A named schema that is not there, or has no version table, is a mistake of the command line.
void refuse_unprepared(const Context& context, const FleetPlan& plan) {
  for (const FleetPlan::Group& group : plan.groups) {
    if (!group.problem)
      continue;
    const bool missing = group.result == Result::missing;
    if (!missing && group.result != Result::unmarked)
      continue;
    const std::string what = fmt::format("schema \"{}\" {}", group.schemas.front(),
                                         missing ? "does not exist" : "has no version table");
    if (plan.site_of(group.schemas.front()) != 0)
      throw UsageError(what, "The registry says that it is there: tenantctl registry check.");
    if (group.schemas.front().find_first_of("/:") != std::string::npos)
      throw UsageError(what, "tenantctl tenant list shows all.");
    throw UsageError(
        what, fmt::format("{} {} {}{}.",
                          missing ? "tenantctl tenant create" : "tenantctl tenant adopt --schema",
                          group.schemas.front(), missing ? "makes it" : "gives it one",
                          context.command == "upgrade" ? "; so does --create" : ""));
  }
}

/// Whom a migration is about: tenants, and the shared schemas of where they live.
struct Subjects {
  Fleet tenants;
  std::vector<std::uint32_t> selected;
  bool only_behind = false;
  Fleet shared;
  Selection chosen;  ///< by options or names, of the scope that the run is about
};

// A schema that may be made is a name and no more; any other may live in another database.
Fleet fleet_of(const Planning& planning) {
  const Migration& migration = planning.migration;
  if (migration.fleet)
    return migration.fleet(planning.session);
  if (migration.schemas.empty())
    return planning.session.everywhere();
  return migration.create == Missing::schema ? planning.session.schemas(migration.schemas)
                                             : planning.session.named(migration.schemas);
}

Fleet shared_of(const Planning& planning, const Subjects& subjects) {
  const Migration& migration = planning.migration;
  Session& session = planning.session;
  if (!migration.shared_schemas.empty())
    return session.shared_named(migration.shared_schemas);
  Fleet shared;
  if (migration.shared_home) {
    // The fleet has it, unless it has no version table yet or others were named.
    shared = subjects.tenants.only(planning.context.settings.shared_schema);
    if (shared.schemas.empty())
      shared = session.schemas({planning.context.settings.shared_schema});
  }
  if (migration.tenants) {
    add_shared(shared, planning.context, subjects.tenants, subjects.selected);
  } else if (shared.has_registry) {
    const Fleet elsewhere = session.elsewhere();
    add_shared(shared, planning.context, elsewhere, all_of(elsewhere));
  }
  return shared;
}

Subjects subjects_of(const Planning& planning) {
  const Migration& migration = planning.migration;
  Subjects subjects;
  if (migration.tenants) {
    subjects.chosen = selection(planning.context);
    subjects.only_behind = subjects.chosen.only_behind;
    subjects.tenants = fleet_of(planning);
    const bool are_named = migration.fleet || !migration.schemas.empty();
    subjects.selected = are_named ? all_of(subjects.tenants)
                                  : planning.session.select(subjects.tenants, subjects.chosen);
    if (!migration.schemas.empty())
      subjects.chosen = {.schemas = migration.schemas};
  } else {
    subjects.chosen = {.schemas = migration.shared_schemas};
  }
  if (migration.shared)
    subjects.shared = shared_of(planning, subjects);
  if (migration.prepare)
    migration.prepare(planning.session, subjects.tenants, subjects.selected);
  return subjects;
}

bool has_requirements(const RevisionFolder& folder) {
  return std::ranges::any_of(folder.revisions(), [](const Revision& revision) {
    return !revision.requires_shared.empty();
  });
}

using Numbers = std::set<RevisionNumber>;

// What each of the standings' schemas has applied, by its site's name.
std::map<std::string, Numbers> applied_by_site(const Fleet& shared,
                                               const std::vector<Standing>& standings) {
  std::map<std::string, Numbers> applied;
  for (const Standing& standing : standings) {
    for (const std::uint32_t member : standing.members) {
      const Site* site = shared.site_of(shared.schemas[member]);
      if (site == nullptr)
        continue;
      for (const AppliedRevision& row : standing.history) {
        if (row.state == RowState::applied)
          applied[site->name()].insert(row.number);
      }
    }
  }
  return applied;
}

// A tenant is served by the shared scope of its own database.
void check_sites(FleetPlan& plan, SharedScope& here,
                 const std::map<std::string, Numbers>& elsewhere) {
  const auto judge = [&](const std::string& schema,
                         const FleetPlan::Group& group) -> std::optional<Failure> {
    const std::uint32_t site = plan.site_of(schema);
    const auto at = site == 0 ? elsewhere.end() : elsewhere.find(plan.sites[site - 1].name());
    try {
      check_shared(group.work.plan, [&](RevisionNumber number) {
        return site == 0 ? here.has_here(number)
                         : at != elsewhere.end() && at->second.contains(number);
      });
    } catch (const HistoryError& error) {
      return Failure{.message = error.what(),
                     .hint = "upgrade-all brings the shared scope of its database forward, too.",
                     .sqlstate = {},
                     .revision = {},
                     .place = error.place()};
    }
    return std::nullopt;
  };
  plan.set_aside(Result::failed, judge);
}

/// Where the subjects stand, by scope.
struct Standings {
  std::vector<Standing> shared;
  std::vector<Standing> tenants;
};

Standings read_all(const Planning& planning, const Subjects& subjects) {
  const Migration& migration = planning.migration;
  std::vector<SurveyPart> parts;
  if (!subjects.shared.schemas.empty())
    parts.push_back({&subjects.shared, all_of(subjects.shared), &planning.folders.shared});
  if (migration.tenants)
    parts.push_back({&subjects.tenants, subjects.selected, &planning.folders.tenant});
  auto read = survey(planning.session, planning.context, parts,
                     {.reading = reading_of(planning), .run_ids = migration.run_ids});
  Standings standings;
  if (migration.tenants) {
    standings.tenants = std::move(read.back());
    read.pop_back();
  }
  if (!read.empty())
    standings.shared = std::move(read.front());
  return standings;
}

ScopeRun plan_shared(const Planning& planning, const Fleet& shared,
                     const std::vector<Standing>& standings,
                     const std::map<std::string, std::string>& unread) {
  const Migration& migration = planning.migration;
  ScopeRun run =
      plan_scope(planning, {shared, all_of(shared)}, planning.folders.shared, standings, unread);
  if (migration.create_shared == Missing::nothing && migration.of_run.empty())
    refuse_unprepared(planning.context, run.plan);
  planning.shared_scope.expect(run.plan);
  // Told once.
  if (!migration.tenants)
    add_unread(run.plan);
  return run;
}

}  // namespace

ScopeRun plan_tenants(const Planning& planning, const Selected& selected) {
  const std::vector<SurveyPart> parts{
      {&selected.fleet, selected.schemas, &planning.folders.tenant}};
  const auto standings =
      survey(planning.session, planning.context, parts,
             {.reading = reading_of(planning), .run_ids = planning.migration.run_ids});
  return plan_scope(planning, selected, planning.folders.tenant, standings.front());
}

ScopeRuns plan_scopes(const Planning& planning) {
  const Migration& migration = planning.migration;
  const Folders& folders = planning.folders;
  Subjects subjects = subjects_of(planning);
  const bool asks_shared = migration.tenants && !migration.shared &&
                           !subjects.tenants.sites.empty() && has_requirements(folders.tenant);
  if (asks_shared)
    add_shared(subjects.shared, planning.context, subjects.tenants, subjects.selected);
  const Standings standings = read_all(planning, subjects);
  const auto unread = migration.fleet ? std::map<std::string, std::string>()
                                      : planning.session.unread(subjects.chosen);
  if (asks_shared || !migration.shared_home)
    planning.shared_scope.know(standings.shared);
  const bool names_strictly = migration.of_run.empty();
  ScopeRuns runs;
  if (migration.shared) {
    runs.shared = plan_shared(planning, subjects.shared, standings.shared, unread);
  }
  if (migration.tenants) {
    runs.tenants =
        plan_scope(planning, {subjects.tenants, std::move(subjects.selected), subjects.only_behind},
                   folders.tenant, standings.tenants, unread);
    add_unread(runs.tenants->plan);
    if (asks_shared)
      check_sites(runs.tenants->plan, planning.shared_scope,
                  applied_by_site(subjects.shared, standings.shared));
    if (!migration.schemas.empty() && names_strictly)
      refuse_unprepared(planning.context, runs.tenants->plan);
    if (follows_newcomers(planning.context, migration))
      runs.tenants->known = std::move(subjects.tenants);
  }
  return runs;
}

std::vector<std::uint32_t> all_of(const Fleet& fleet) {
  std::vector<std::uint32_t> indexes(fleet.schemas.size());
  for (std::uint32_t i = 0; i < indexes.size(); ++i)
    indexes[i] = i;
  return indexes;
}

bool follows_newcomers(const Context& context, const Migration& migration) {
  const Settings& settings = context.settings;
  return migration.follows && settings.schemas.empty() && settings.tenants_file.empty() &&
         settings.only_failed.empty();
}

}  // namespace tenantctl::cli
