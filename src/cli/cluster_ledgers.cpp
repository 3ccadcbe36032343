#include "cli/cluster_ledgers.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "base/text.h"
#include "rollout/run_record.h"
#include "rollout/site_visits.h"

namespace tenantctl::cli {
namespace {

std::string cluster_of(const FleetPlan& plan, const std::string& schema) {
  const std::uint32_t site = plan.site_of(schema);
  return site == 0 ? std::string() : plan.sites[site - 1].cluster;
}

std::set<std::string> clusters_of(const std::vector<ScopeRun*>& runs) {
  std::set<std::string> clusters;
  for (const ScopeRun* run : runs) {
    for (const auto& [schema, site] : run->plan.away)
      clusters.insert(run->plan.sites[site - 1].cluster);
  }
  clusters.erase("");
  return clusters;
}

FleetPlan plan_in(const FleetPlan& plan, const std::string& cluster) {
  FleetPlan there;
  for (const FleetPlan::Group& group : plan.groups) {
    FleetPlan::Group part = group;
    std::erase_if(part.schemas,
                  [&](const std::string& schema) { return cluster_of(plan, schema) != cluster; });
    if (!part.schemas.empty())
      there.groups.push_back(std::move(part));
  }
  return there;
}

// As far as counts and the run's state need it.
Report report_in(const ScopeRun& run, const std::string& cluster) {
  Report there;
  there.interrupted = run.report->interrupted;
  for (const SchemaReport& schema : run.report->schemas) {
    if (cluster_of(run.plan, schema.schema) != cluster)
      continue;
    there.schemas.emplace_back();
    there.schemas.back().schema = schema.schema;
    there.schemas.back().result = schema.result;
  }
  return there;
}

RunState state_of(const std::vector<Report>& reports) {
  if (std::ranges::any_of(reports, &Report::interrupted))
    return RunState::interrupted;
  return std::ranges::any_of(reports, &Report::has_problem) ? RunState::failed : RunState::ok;
}

// Returns why it could not be done; empty if it was.
std::string record(const Context& context, const Session& session, RunStart start,
                   const std::vector<ScopeRun*>& runs, const std::string& cluster) {
  try {
    const pq::ConnectOptions connect =
        session.connect_options(Site{.cluster = cluster, .database = {}});
    SiteSession there(connect);
    RunRecorder recorder(there.pipeline(), {.owners = context.settings.owners,
                                            .reconnect = connect,
                                            .locks = false,
                                            .reconnect_timeout = {}});
    start.groups.clear();
    for (const ScopeRun* run : runs) {
      for (RunGroup& group : groups_of(plan_in(run->plan, cluster), run->scope))
        start.groups.push_back(std::move(group));
    }
    recorder.begin(std::move(start));
    std::vector<Report> reports;
    for (const ScopeRun* run : runs) {
      reports.push_back(report_in(*run, cluster));
      recorder.enter(run->scope);
      for (const SchemaReport& schema : run->report->schemas) {
        if (cluster_of(run->plan, schema.schema) == cluster)
          recorder.finished(schema, {});
      }
      recorder.complete(run->scope, reports.back());
    }
    recorder.end(state_of(reports));
    return recorder.why_not();
  } catch (const Error& error) {
    // A translation: the run is over, and is told.
    return error.what();
  }
}

}  // namespace

void record_in_clusters(const Context& context, const Session& session, const RunStart& start,
                        const std::vector<ScopeRun*>& runs) {
  for (const std::string& cluster : clusters_of(runs)) {
    const std::string why_not = record(context, session, start, runs, cluster);
    if (!why_not.empty() && !context.settings.quiet) {
      *context.err << fmt::format("tenantctl: notice: the run is not recorded in cluster {}: {}\n",
                                  cluster, told(why_not));
    }
  }
}

}  // namespace tenantctl::cli
