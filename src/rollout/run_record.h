#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "revision/revision.h"
#include "rollout/fleet_plan.h"
#include "rollout/report.h"

namespace tenantctl {

/// What a run set out to do for schemas at the same place.
struct RunGroup {
  Scope scope = Scope::tenant;
  RevisionNumber from = 0;
  RevisionNumber to = 0;
  std::vector<std::string> revisions = {};  ///< titles, in order
  std::size_t count = 0;
  std::vector<std::string> schemas = {};  ///< names; none for a group with nothing to do
};

std::vector<RunGroup> groups_of(const FleetPlan& plan, Scope scope);

/// A run as it begins: who, what, over what.
struct RunStart {
  std::string id;  ///< UUID
  std::string command;
  std::string target;
  std::string of_run;  ///< the run that this one retries or undoes; empty: none
  std::string os_user;
  std::string host;
  std::string job;  ///< of the CI system, as far as it tells
  std::string tool_version;
  std::string shared_digest;  ///< of the folder's whole history; empty: no revision
  std::string tenant_digest;
  std::vector<RunGroup> groups;
};

using ResultCounts = std::array<std::size_t, result_count>;

enum class RunState {
  running,
  ok,
  failed,
  interrupted,
  abandoned,  ///< ended without a word: killed, or its machine was
  unknown     ///< began through a pooler and was not heard of for a minute
};
std::string_view to_text(RunState state);

/// How a run ended. `message` says why, where an error ended it.
struct RunEnd {
  RunState state = RunState::ok;
  std::string message = {};
  std::optional<ResultCounts> shared = {};
  std::optional<ResultCounts> tenants = {};
};

/// One schema of a run. Only those that the run changed, or wanted to, have one.
struct RunSchema {
  Scope scope = Scope::tenant;
  SchemaReport report;
};

/// A run as the ledger has it. Times are ISO 8601 in UTC.
struct RunRecord {
  RunStart start;
  RunEnd end;
  std::string user;  ///< that logged in to the server
  std::string started_at;
  std::string ended_at;  ///< empty: not over
  std::chrono::milliseconds duration{0};
};

/// Schemas of one scope that the run left undone: with a problem, or never come to. Sorted.
std::vector<std::string> unfinished_schemas(const RunRecord& run,
                                            const std::vector<RunSchema>& schemas, Scope scope);
/// Schemas of one scope that the run may have changed. Sorted.
std::vector<std::string> touched_schemas(const RunRecord& run,
                                         const std::vector<RunSchema>& schemas, Scope scope);

}  // namespace tenantctl
