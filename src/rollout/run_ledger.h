#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
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

/// All SQL about tenantctl.run and tenantctl.run_schema, the record of rollouts, in a schema of the
/// tool's own that the first run makes. Written in bulk: a transaction for many schemas.
///
/// Nothing is read or written unless schema and tables are owned by the current role or one of
/// `owners` and are ordinary tables with nobody's triggers, rules or policies (as version tables
/// are judged): checked in each transaction. Every function throws UsageError if that is not so or
/// a newer tenantctl made them, ServerError (no rights, say), ConnectionLost.
class RunLedger {
 public:
  RunLedger(pq::Pipeline& pipeline, std::vector<std::string> owners)
      : pipeline_(pipeline), owners_(std::move(owners)) {}

  /// Writes the run in state running and makes the tables if they are not there. With `locks` the
  /// session holds an advisory lock from here on, by which anybody can tell whether the run lives;
  /// not through a pooler.
  void begin(const RunStart& run, bool locks);
  /// Takes the run's advisory lock again, on another connection.
  void hold(const std::string& run_id);
  /// Rows for many schemas (again: replaced), and that the run lives.
  void add(const std::string& run_id, const std::vector<RunSchema>& schemas);
  void end(const std::string& run_id, const RunEnd& end, const std::vector<RunSchema>& schemas);
  /// begin() and end() in one transaction, for a run so small that it is over.
  void record(const RunStart& run, const RunEnd& end, const std::vector<RunSchema>& schemas);

  /// Newest first, without their groups. None if there is no ledger.
  std::vector<RunRecord> newest(std::size_t limit);
  /// The one run whose id begins with `prefix`, with its groups. Throws UsageError unless there is
  /// exactly one.
  RunRecord find(const std::string& prefix);
  std::vector<RunSchema> schemas(const std::string& run_id);
  /// Ids of the retries of a run and of theirs, newest first.
  std::vector<std::string> retries(const std::string& run_id);

 private:
  void write(std::vector<pq::Message> messages);
  void read(std::vector<pq::Message> messages);
  void install();
  std::vector<RunRecord> select(const std::string& condition,
                                std::vector<std::optional<std::string>> values);
  std::vector<RunGroup> groups(const std::string& run_id);

  pq::Pipeline& pipeline_;
  std::vector<std::string> owners_;
};

}  // namespace tenantctl
