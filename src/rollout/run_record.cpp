#include "rollout/run_record.h"

#include <algorithm>
#include <set>
#include <utility>

namespace tenantctl {

std::string_view to_text(RunState state) {
  switch (state) {
    case RunState::running:
      return "running";
    case RunState::ok:
      return "ok";
    case RunState::failed:
      return "failed";
    case RunState::interrupted:
      return "interrupted";
    case RunState::abandoned:
      return "abandoned";
    case RunState::unknown:
      break;
  }
  return "unknown";
}

namespace {

bool may_have_changed(Result result) {
  switch (result) {
    case Result::applied:
    case Result::failed:
    case Result::busy:
    case Result::in_doubt:
    case Result::interrupted:
      return true;
    case Result::unchanged:
    case Result::missing:
    case Result::unmarked:
    case Result::foreign:
    case Result::gone:
    case Result::not_started:
    case Result::unavailable:
      break;
  }
  return false;
}

// A schema without a row was never come to, or its row was lost with the run: nobody knows.
std::vector<std::string> chosen_schemas(const RunRecord& run, const std::vector<RunSchema>& schemas,
                                        Scope scope, bool (*chooses)(Result)) {
  std::set<std::string> names;
  for (const RunGroup& group : run.start.groups) {
    if (group.scope == scope) {
      names.insert(group.schemas.begin(), group.schemas.end());
    }
  }
  for (const RunSchema& schema : schemas) {
    if (schema.scope != scope) {
      continue;
    }
    if (chooses(schema.report.result)) {
      names.insert(schema.report.schema);
    } else {
      names.erase(schema.report.schema);
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<RunGroup> groups_of(const FleetPlan& plan, Scope scope) {
  std::vector<RunGroup> groups;
  for (const FleetPlan::Group& group : plan.groups) {
    RunGroup one;
    one.scope = scope;
    one.from = group.work.plan.from.head;
    one.to = group.work.plan.to.head;
    for (const Step& step : group.work.plan.steps) {
      if (step.runs_sql()) {
        one.revisions.push_back(step.revision->title());
      }
    }
    one.count = group.schemas.size();
    const bool is_problem_group = group.problem && is_problem(group.result);
    if (!group.work.plan.empty() || is_problem_group) {
      one.schemas = group.schemas;
    }
    groups.push_back(std::move(one));
  }
  return groups;
}

std::vector<std::string> unfinished_schemas(const RunRecord& run,
                                            const std::vector<RunSchema>& schemas, Scope scope) {
  return chosen_schemas(run, schemas, scope, &is_problem);
}

std::vector<std::string> touched_schemas(const RunRecord& run,
                                         const std::vector<RunSchema>& schemas, Scope scope) {
  return chosen_schemas(run, schemas, scope, &may_have_changed);
}

}  // namespace tenantctl
