#include "cli/scope_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <set>
#include <utility>

#include "base/text.h"
#include "cli/signals.h"
#include "output/progress.h"

namespace tenantctl::cli {
namespace {

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
  // Where nothing is to be done nothing more is asked of it.
  if (run.plan.has_steps())
    session.revive();
  RolloutOptions options = session.rollout_options(run.plan);
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
  place.session.revive();
  Fleet fleet = place.session.everywhere();
  fleet.remove(known);
  known.add_names(fleet);
  const Selection chosen = selection(place.context);
  return plan_tenants(
      {place.context, place.session, place.folders, place.migration, place.shared_scope},
      {fleet, place.session.match(fleet, chosen), true});
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

// Where the shared scope did not get to its target in another database, only the tenants there stay
// where they are; here it is everybody's.
void set_aside(FleetPlan& tenants, const ScopeRun& shared) {
  std::set<std::string> sites;
  for (const SchemaReport& schema : shared.report->schemas) {
    const std::uint32_t site = shared.plan.site_of(schema.schema);
    if (site != 0 && is_problem(schema.result))
      sites.insert(shared.plan.sites[site - 1].name());
  }
  tenants.set_aside(
      Result::not_started,
      [&](const std::string& schema, const FleetPlan::Group& /*group*/) -> std::optional<Failure> {
        const std::uint32_t site = tenants.site_of(schema);
        if (site == 0 || !sites.contains(tenants.sites[site - 1].name()))
          return std::nullopt;
        return Failure{.message = "the shared scope of its database did not reach its target",
                       .hint = {},
                       .sqlstate = {},
                       .revision = {},
                       .place = std::nullopt};
      });
}

bool stops_all(const ScopeRun& run) {
  if (run.report->interrupted)
    return true;
  return std::ranges::any_of(run.report->schemas, [&run](const SchemaReport& schema) {
    const bool is_elsewhere = run.scope == Scope::shared && (run.plan.site_of(schema.schema) != 0 ||
                                                             run.plan.is_unread(schema.schema));
    return is_problem(schema.result) && !is_elsewhere;
  });
}

}  // namespace

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
      if (is_tenants && run != runs.front())
        set_aside(run->plan, *runs.front());
      recorder.enter(run->scope);
      begin_scope(place, *run, run == runs.front());
      if (is_tenants && takes_time && follows_newcomers(place.context, migration))
        follow(place, *run);
    }
    // Of a run that did not come to them too: what was made for them goes again.
    if (is_tenants && migration.after)
      migration.after(place.session, *run->report);
    recorder.complete(run->scope, *run->report, is_tenants && migration.after != nullptr);
    stopped = stopped || stops_all(*run);
  }
}

}  // namespace tenantctl::cli
