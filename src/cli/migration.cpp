#include "cli/migration.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "cli/cluster_ledgers.h"
#include "cli/invocation.h"
#include "cli/reports.h"
#include "cli/scope_plan.h"
#include "cli/scope_runs.h"
#include "output/json_writer.h"
#include "output/result_writer.h"
#include "output/sql_writer.h"
#include "pq/stop_point.h"
#include "revision/target.h"
#include "rollout/plan_file.h"

namespace tenantctl::cli {
namespace {

ExitCode exit_code(const Report* shared, const Report* tenants) {
  std::size_t schemas = 0;
  std::size_t busy = 0;
  bool problem = false;
  bool interrupted = false;
  for (const Report* report : {shared, tenants}) {
    if (report == nullptr)
      continue;
    schemas += report->schemas.size();
    busy += report->count(Result::busy);
    problem = problem || report->has_problem();
    interrupted = interrupted || report->interrupted;
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

// One script is for one connection.
void refuse_elsewhere(const FleetPlan& plan) {
  if (plan.away.empty())
    return;
  throw UsageError(
      fmt::format("--sql is for one database: {} {} in another", plan.away.begin()->first,
                  plan.away.size() == 1 ? "is" : "and others are"),
      "Leave them out with --exclude; --dry-run shows the plan for all.");
}

ExitCode show_plan(const Context& context, Session& session, const Migration& migration,
                   const std::optional<ScopeRun>& shared, const std::optional<ScopeRun>& tenants) {
  const FleetPlan* shared_plan = shared ? &shared->plan : nullptr;
  const FleetPlan* tenant_plan = tenants ? &tenants->plan : nullptr;
  if (migration.show) {
    migration.show(shared_plan, tenant_plan);
  } else if (context.settings.sql) {
    for (const FleetPlan* plan : {shared_plan, tenant_plan}) {
      if (plan != nullptr)
        refuse_elsewhere(*plan);
    }
    MigrateOptions options = migrate_options(context.settings, session.run_id());
    options.table.readers = session.status_roles();
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

ExitCode run_migration(const Context& context, Session& session, Reports& reports,
                       const Folders& folders, const Migration& migration) {
  SharedScope shared_scope(session, context, folders.shared);
  auto [shared, tenants] = plan_scopes({context, session, folders, migration, shared_scope});
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
  const RunStart start = start_of(context, session, folders, migration, runs);
  if (!context.settings.no_ledger && std::any_of(runs.begin(), runs.end(), has_work))
    recorder.begin(start);
  run_scopes({context, session, folders, migration, shared_scope, recorder, reports}, runs);
  const auto report_in = [](const std::optional<ScopeRun>& run) {
    return run ? &*run->report : nullptr;
  };
  const Report* const shared_report = report_in(shared);
  const Report* const tenant_report = report_in(tenants);
  const ExitCode code = exit_code(shared_report, tenant_report);
  recorder.end(code == ExitCode::ok            ? RunState::ok
               : code == ExitCode::interrupted ? RunState::interrupted
                                               : RunState::failed);
  note_unrecorded(context, recorder);
  if (recorder.is_recording())
    record_in_clusters(context, session, start, runs);
  result.shared = shared_report;
  result.tenants = tenant_report;
  result.recorded = recorder.is_recording();
  result.not_recorded = recorder.why_not();
  if (tenants)
    result.outside = tenants->outside;
  write_run(*context.out, *context.err, context.settings.output, result);
  reports.end(result, code);
  return code;
}

}  // namespace

void refuse_other_shared(const std::vector<std::string>& schemas,
                         const std::string& shared_schema) {
  for (const std::string& schema : schemas) {
    if (schema == shared_schema || schema.ends_with("/" + shared_schema))
      continue;
    throw UsageError(fmt::format("the run was about shared schema {}", schema),
                     "Name it with --shared-schema.");
  }
}

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
