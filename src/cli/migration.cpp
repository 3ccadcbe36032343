#include "cli/migration.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <set>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "cli/invocation.h"
#include "cli/reports.h"
#include "cli/shared_scope.h"
#include "output/json_writer.h"
#include "output/progress.h"
#include "output/result_writer.h"
#include "output/sql_writer.h"
#include "pq/stop_point.h"
#include "revision/target.h"
#include "rollout/plan_file.h"

namespace tenantctl::cli {
namespace {

/// One scope on its way: what was planned for it and what came of it.
struct ScopeRun {
  Scope scope = Scope::tenant;
  FleetPlan plan;
  Replan replan;
  std::optional<Report> report;
  std::vector<std::string> outside;  ///< tenants that the plan file does not know
  Fleet known;                       ///< every schema there was, if the run follows newcomers
};

/// What a run works with. Views the command's.
struct Workplace {
  const Context& context;
  Session& session;
  const Folders& folders;
  const Migration& migration;
  SharedScope& shared_scope;
  RunRecorder& recorder;
  Reports& reports;
};

struct Selected {
  const Fleet& fleet;
  std::vector<std::uint32_t> schemas;
  bool only_behind = false;
};

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

// A pooler hands the session to somebody else after each transaction.
void refuse_for_pooler(const FleetPlan& plan) {
  for (const FleetPlan::Group& group : plan.groups) {
    for (const Step& step : group.work.plan.steps) {
      if (!step.runs_sql())
        continue;
      const bool traces = leaves_traces(step.section());
      if (step.in_transaction() && !traces)
        continue;
      throw UsageError(
          fmt::format("revision {} cannot run through a pooler: it {}", step.revision->title(),
                      traces ? "may leave settings in the session" : "runs outside a transaction"),
          "Name a connection past the pooler with --direct-url.");
    }
  }
}

// What is not sent although it stands in the file is said once a run.
void note_dropped_transactions(const Context& context, const FleetPlan& plan) {
  std::set<std::string> titles;
  for (const FleetPlan::Group& group : plan.groups) {
    for (const Step& step : group.work.plan.steps) {
      if (step.runs_sql() && step.section().dropped_transaction) {
        titles.insert(step.revision->title());
      }
    }
  }
  if (!titles.empty() && !context.settings.quiet) {
    *context.err << fmt::format(
        "tenantctl: notice: {} wrapped in BEGIN and COMMIT, which are left out: {}{}\n",
        titles.size() == 1 ? "a revision is" : fmt::format("{} revisions are", titles.size()),
        *titles.begin(), titles.size() == 1 ? "" : " and others");
  }
}

ProgressOptions progress_options(const Context& context) {
  ProgressOptions options;
  if (!context.settings.quiet)
    options.style = is_screen_err() ? ProgressStyle::terminal : ProgressStyle::log;
  options.verbose = context.settings.verbose;
  options.colour = wants_colour();
  options.size = screen_size;
  return options;
}

/// Which of a scope's rollouts: newcomers are no wave of their own, and have what time is left.
struct Pass {
  bool is_first = true;
  std::chrono::milliseconds spent{0};  ///< by the passes before
};

void carry_out(const Workplace& place, ScopeRun& run, const Pass& pass) {
  const Context& context = place.context;
  Session& session = place.session;
  session.revive();
  RolloutOptions options = session.rollout_options(run.plan.has_steps());
  if (options.budgets.duration)
    *options.budgets.duration -= pass.spent;
  if (run.scope == Scope::shared || !pass.is_first) {
    options.waves = {};
  } else if (context.settings.confirm) {
    options.waves.confirm = [&context](std::size_t wave, std::size_t schemas) {
      return confirm(context, fmt::format("Go on with wave {}, {} schemas?", wave, schemas));
    };
  }
  if (options.via_pooler)
    refuse_for_pooler(run.plan);
  if (run.plan.has_steps() && pass.is_first) {
    session.warn_about_path();
    session.warn_about_event_triggers();
    session.warn_about_index_scans(run.plan);
    note_dropped_transactions(context, run.plan);
  }
  watch_signals();
  std::vector<Observer*> observers = place.reports.observers(run.scope);
  observers.push_back(&place.recorder);
  const auto progress = make_progress(*context.err, progress_options(context));
  observers.push_back(progress.get());
  Observers all(std::move(observers));
  Rollout rollout(options, run.replan, all, session.pipeline(), signal_count());
  run.report = run_fleet(run.plan, rollout);
}

// What the shared scope's failure keeps from starting is still part of the report.
Report not_started(const FleetPlan& plan, const std::string& why) {
  Report report;
  for (const FleetPlan::Group& group : plan.groups) {
    for (const std::string& schema : group.schemas) {
      SchemaReport one;
      one.schema = schema;
      one.result = Result::not_started;
      one.revision = group.work.plan.from.head;
      one.from = one.revision;
      one.failure = std::make_unique<Failure>();
      one.failure->message = why;
      report.schemas.push_back(std::move(one));
    }
  }
  return report;
}

// Who is named, one by one or out of the ledger, is all that is meant.
bool follows_newcomers(const Context& context, const Migration& migration) {
  const Settings& settings = context.settings;
  return migration.follows && settings.schemas.empty() && settings.tenants_file.empty() &&
         settings.only_failed.empty();
}

ExitCode exit_code(const std::optional<Report>& shared, const std::optional<Report>& tenants) {
  std::size_t schemas = 0;
  std::size_t busy = 0;
  bool problem = false;
  bool interrupted = false;
  for (const auto* report : {&shared, &tenants}) {
    if (!*report)
      continue;
    schemas += (*report)->schemas.size();
    busy += (*report)->count(Result::busy);
    problem = problem || (*report)->has_problem();
    interrupted = interrupted || (*report)->interrupted;
  }
  if (interrupted)
    return ExitCode::interrupted;
  if (schemas == 1 && busy == 1)
    return ExitCode::unavailable;
  return problem ? ExitCode::failed : ExitCode::ok;
}

void write_script(const Context& context, const Migration& migration, const std::string& sql) {
  if (context.is_json()) {
    *context.out << json_sql(context.command, migration.target, sql) << '\n';
  } else {
    *context.out << sql;
  }
}

ExitCode show_plan(const Context& context, Session& session, const Migration& migration,
                   const std::optional<ScopeRun>& shared, const std::optional<ScopeRun>& tenants) {
  const FleetPlan* shared_plan = shared ? &shared->plan : nullptr;
  const FleetPlan* tenant_plan = tenants ? &tenants->plan : nullptr;
  if (migration.show) {
    migration.show(shared_plan, tenant_plan);
  } else if (context.settings.sql) {
    MigrateOptions options = migrate_options(context.settings, session.run_id());
    options.server_version = session.server_version();
    std::ostringstream sql;
    for (const FleetPlan* plan : {shared_plan, tenant_plan}) {
      if (plan != nullptr)
        write_sql(sql, *plan, options);
    }
    write_script(context, migration, sql.str());
  } else {
    write_plan(*context.out, context.settings.output,
               {.command = context.command,
                .target = migration.target,
                .shared = shared_plan,
                .tenants = tenant_plan});
  }
  const auto has_problem = [](const FleetPlan* plan) {
    return plan != nullptr &&
           std::any_of(plan->groups.begin(), plan->groups.end(),
                       [](const auto& group) { return group.problem && is_problem(group.result); });
  };
  return has_problem(shared_plan) || has_problem(tenant_plan) ? ExitCode::failed : ExitCode::ok;
}

// A run that changes nothing and finds nothing wrong leaves no trace: it may be said every minute.
bool has_work(const ScopeRun* run) {
  const auto has_problem = [](const FleetPlan::Group& group) {
    return group.problem.has_value() && is_problem(group.result);
  };
  return run->plan.has_steps() ||
         std::any_of(run->plan.groups.begin(), run->plan.groups.end(), has_problem);
}

RunStart start_of(const Context& context, const Session& session, const Folders& folders,
                  const Migration& migration, const std::vector<ScopeRun*>& runs) {
  RunStart start = invocation();
  start.id = session.run_id();
  start.command = context.command;
  start.target = migration.target;
  start.of_run = migration.of_run;
  start.shared_digest = folder_digest(folders.shared);
  start.tenant_digest = folder_digest(folders.tenant);
  for (const ScopeRun* run : runs) {
    for (RunGroup& group : groups_of(run->plan, run->scope))
      start.groups.push_back(std::move(group));
  }
  return start;
}

void note_unrecorded(const Context& context, const RunRecorder& recorder) {
  if (!recorder.why_not().empty() && !context.settings.quiet) {
    *context.err << fmt::format(
        "tenantctl: notice: the run is not recorded, or not wholly: {} (--no-ledger: not even "
        "tried)\n",
        told(recorder.why_not()));
  }
}

void say(const Context& context, std::string_view sort, const std::string& message) {
  if (!context.settings.quiet)
    *context.err << fmt::format("tenantctl: {}: {}\n", sort, escaped(message));
}

bool may_follow(const Workplace& place, const Report& report) {
  const auto limit = place.context.settings.max_duration;
  return !report.interrupted && report.stopped_by.empty() && signal_count() == 0 &&
         (limit.count() == 0 || report.duration < limit);
}

// Selected tenants that were not there when the fleet was read last, and have something to do.
ScopeRun plan_newcomers(const Workplace& place, Fleet& known) {
  const Settings& settings = place.context.settings;
  place.session.revive();
  Fleet fleet = place.session.fleet();
  fleet.remove(known);
  known.add_names(fleet);
  Selection chosen;
  chosen.tenants = settings.tenants;
  chosen.excludes = settings.excludes;
  return plan_scope(place.session,
                    {fleet, matching_tenants(fleet, chosen, settings.shared_schema), true},
                    place.folders.tenant, place.migration, place.shared_scope);
}

void carry_out_newcomers(const Workplace& place, ScopeRun& run, ScopeRun& newcomers) {
  say(place.context, "notice",
      fmt::format("{} that appeared meanwhile", counted(newcomers.plan.schema_count(), "tenant")));
  try {
    carry_out(place, newcomers, {.is_first = false, .spent = run.report->duration});
  } catch (const Error& error) {
    // A translation: what was done before must still be told.
    newcomers.report = not_started(newcomers.plan, error.what());
  }
  run.report->add_appeared(std::move(*newcomers.report));
  std::move(newcomers.plan.groups.begin(), newcomers.plan.groups.end(),
            std::back_inserter(run.plan.groups));
}

// Reads the fleet again until a pass finds nobody new: who was created while the run went on would
// stand where the run found the others.
void follow(const Workplace& place, ScopeRun& run) {
  constexpr int most_passes = 10;
  for (int pass = 0; may_follow(place, *run.report); ++pass) {
    ScopeRun newcomers;
    try {
      newcomers = plan_newcomers(place, run.known);
    } catch (const Error& error) {
      say(place.context, "warning",
          fmt::format("whether tenants appeared meanwhile is not known: {}", error.what()));
      return;
    }
    if (newcomers.plan.groups.empty())
      return;
    if (pass == most_passes) {
      say(place.context, "warning",
          fmt::format("tenants keep appearing: {} that came last left for the next run",
                      counted(newcomers.plan.schema_count(), "tenant")));
      return;
    }
    carry_out_newcomers(place, run, newcomers);
  }
}

// What the scope before did must still be told when the server is not there any more.
void begin_scope(const Workplace& place, ScopeRun& run, bool is_first) {
  try {
    carry_out(place, run, {});
  } catch (const pq::ConnectionLost& error) {
    if (is_first)
      throw;
    run.report = not_started(run.plan, error.what());
  } catch (const UnavailableError& error) {
    if (is_first)
      throw;
    run.report = not_started(run.plan, error.what());
  }
}

// The second scope only begins when the first went well.
void run_scopes(const Workplace& place, const std::vector<ScopeRun*>& runs) {
  const Migration& migration = place.migration;
  RunRecorder& recorder = place.recorder;
  // Where nothing is to do nothing takes time: nobody can have appeared.
  const bool takes_time =
      std::ranges::any_of(runs, [](const ScopeRun* run) { return run->plan.has_steps(); });
  bool stopped = false;
  for (ScopeRun* run : runs) {
    const bool is_tenants = run->scope == Scope::tenant;
    if (stopped) {
      run->report = not_started(run->plan, is_tenants ? "the shared scope did not reach its target"
                                                      : "not every tenant was taken back");
    } else {
      recorder.enter(run->scope);
      begin_scope(place, *run, run == runs.front());
      if (is_tenants && takes_time && follows_newcomers(place.context, migration))
        follow(place, *run);
      if (is_tenants && migration.after)
        migration.after(place.session, *run->report);
    }
    recorder.complete(run->scope, *run->report, is_tenants && migration.after != nullptr);
    stopped = stopped || run->report->has_problem() || run->report->interrupted;
  }
}

// A named schema that is not there, or not ours to migrate, is a mistake of the command line.
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

ExitCode run_migration(const Context& context, Session& session, Reports& reports,
                       const Folders& folders, const Migration& migration) {
  const std::string& shared_schema = context.settings.shared_schema;
  std::optional<ScopeRun> shared;
  std::optional<ScopeRun> tenants;
  const bool names_strictly = migration.of_run.empty();
  SharedScope shared_scope(session, context, folders.shared);
  if (migration.shared) {
    const Fleet one = session.schemas({shared_schema});
    shared = plan_scope(session, {one, all_of(one)}, folders.shared, migration, shared_scope);
    if (migration.create_shared == Missing::nothing && names_strictly)
      refuse_unprepared(context, shared->plan);
    shared_scope.expect(shared->plan);
  }
  if (migration.tenants) {
    const Selection chosen = selection(context);
    Fleet fleet = migration.schemas.empty() ? session.fleet() : session.schemas(migration.schemas);
    auto selected = migration.schemas.empty() ? session.select(fleet, chosen) : all_of(fleet);
    tenants = plan_scope(session, {fleet, std::move(selected), chosen.only_behind}, folders.tenant,
                         migration, shared_scope);
    if (!migration.schemas.empty() && names_strictly)
      refuse_unprepared(context, tenants->plan);
    if (follows_newcomers(context, migration))
      tenants->known = std::move(fleet);
  }
  if (migration.show || context.settings.dry_run || context.settings.sql) {
    return show_plan(context, session, migration, shared, tenants);
  }
  std::vector<ScopeRun*> runs;
  for (auto* run : {&shared, &tenants}) {
    if (*run)
      runs.push_back(&**run);
  }
  if (migration.tenants_first)
    std::reverse(runs.begin(), runs.end());
  RunResult result{.command = context.command,
                   .run_id = session.run_id(),
                   .target = migration.target,
                   .shared_folder = &folders.shared,
                   .tenant_folder = &folders.tenant,
                   .shared_plan = shared ? &shared->plan : nullptr,
                   .tenant_plan = tenants ? &tenants->plan : nullptr,
                   .of_run = migration.of_run};
  RunRecorder recorder(session.pipeline(), session.recorder_options());
  reports.begin(result);
  pq::stop_point(pq::StopPoint::planned, "", &session.pipeline().connection());
  if (!context.settings.no_ledger && std::any_of(runs.begin(), runs.end(), has_work))
    recorder.begin(start_of(context, session, folders, migration, runs));
  run_scopes({context, session, folders, migration, shared_scope, recorder, reports}, runs);
  const auto report_of = [](std::optional<ScopeRun>& run) {
    return run ? std::move(run->report) : std::optional<Report>();
  };
  const std::optional<Report> shared_report = report_of(shared);
  const std::optional<Report> tenant_report = report_of(tenants);
  const ExitCode code = exit_code(shared_report, tenant_report);
  recorder.end(code == ExitCode::ok            ? RunState::ok
               : code == ExitCode::interrupted ? RunState::interrupted
                                               : RunState::failed);
  note_unrecorded(context, recorder);
  result.shared = shared_report ? &*shared_report : nullptr;
  result.tenants = tenant_report ? &*tenant_report : nullptr;
  result.recorded = recorder.is_recording();
  result.not_recorded = recorder.why_not();
  if (tenants)
    result.outside = tenants->outside;
  write_run(*context.out, *context.err, context.settings.output, result);
  reports.end(result, code);
  return code;
}

}  // namespace

std::vector<std::string> forgive_dropped(FleetPlan& plan, Scope scope) {
  for (FleetPlan::Group& group : plan.groups) {
    if (scope == Scope::tenant && group.problem && group.result == Result::missing)
      group.result = Result::gone;
  }
  return {};
}

Scope scope_of_schemas(const Context& context) {
  const Settings& settings = context.settings;
  const auto& schemas = settings.schemas;
  const bool names_shared =
      std::find(schemas.begin(), schemas.end(), settings.shared_schema) != schemas.end();
  if (names_shared && schemas.size() > 1) {
    throw UsageError(
        fmt::format("{} holds the shared scope, the others are tenants", settings.shared_schema),
        "Name them in two commands.");
  }
  const bool asks_shared = settings.scope == "shared";
  if (asks_shared && !schemas.empty() && !names_shared) {
    throw UsageError(
        fmt::format("schema {} is not of the shared scope, {} is", schemas.front(),
                    settings.shared_schema),
        "Leave --scope out, or say --scope tenant; --shared-schema names another one.");
  }
  if (settings.scope == "tenant" && names_shared) {
    throw UsageError(fmt::format("schema {} holds the shared scope", settings.shared_schema),
                     "Say --scope shared.");
  }
  return asks_shared || names_shared ? Scope::shared : Scope::tenant;
}

ExitCode migrate(const Context& context, const Folders& folders, const Migration& migration) {
  if (!context.settings.from.empty()) {
    throw UsageError(context.command + " does not take --from",
                     "upgrade and downgrade of one schema do, together with --sql.");
  }
  // What says no waves is found before anything else happens.
  wave_options(context.settings);
  budgets(context.settings);
  Reports reports(context);
  Session session(context);
  return run_migration(context, session, reports, folders, migration);
}

ExitCode migrate(const Context& context, Session& session, const Folders& folders,
                 const Migration& migration) {
  Reports reports(context);
  return run_migration(context, session, reports, folders, migration);
}

ExitCode print_sql_offline(const Context& context, const Folders& folders, Scope scope,
                           const std::string& schema, const Migration& migration) {
  if (!context.settings.sql) {
    throw UsageError("--from needs --sql", "A run finds out by itself where a schema stands.");
  }
  const RevisionFolder& folder = folders.of(scope);
  const Plan to_there = plan_stamp(folder, {}, Target::parse(context.settings.from));
  History history;
  for (const Step& step : to_there.steps) {
    for (const RowChange& change : step.changes)
      history.push_back(change.row);
  }
  FleetPlan plan;
  FleetPlan::Group group;
  group.work.plan = migration.plan(folder, history, Missing::nothing);
  group.schemas = {schema};
  plan.groups.push_back(std::move(group));
  MigrateOptions options = migrate_options(context.settings, "");
  // Settings differ by version: without a server, those that every supported one has.
  options.server_version = 130000;
  std::ostringstream sql;
  write_sql(sql, plan, options);
  write_script(context, migration, sql.str());
  return ExitCode::ok;
}

}  // namespace tenantctl::cli
