#pragma once

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "output/format.h"
#include "revision/revision_folder.h"
#include "rollout/fleet_plan.h"
#include "rollout/report.h"
#include "tenant/tenant_moves.h"

namespace tenantctl {

/// What a command that migrates did, for both scopes. Views values of the caller's.
struct RunResult {
  std::string_view command;  ///< `upgrade-all`
  std::string_view run_id;
  std::string_view target;
  const Report* shared = nullptr;  ///< nullptr: that scope was not asked for
  const Report* tenants = nullptr;
  const RevisionFolder* shared_folder = nullptr;
  const RevisionFolder* tenant_folder = nullptr;
  const FleetPlan* shared_plan = nullptr;  ///< what was planned, for reports by revision
  const FleetPlan* tenant_plan = nullptr;
  std::string_view of_run = {};           ///< the run that this one retried or undid
  bool recorded = false;                  ///< in the ledger
  std::string_view not_recorded = {};     ///< why not; empty where that was asked for or needless
  std::vector<std::string> outside = {};  ///< tenants that the plan file does not name
};

/// A scope of a run, for writers that treat both alike.
struct ScopeResult {
  Scope scope = Scope::tenant;
  const Report* report = nullptr;
  const RevisionFolder* folder = nullptr;
  const FleetPlan* plan = nullptr;  ///< may be nullptr
};
/// Those that were asked for, shared first.
std::vector<ScopeResult> scopes_of(const RunResult& result);

/// The summary on `out`; each cause of failure goes to `err`, with one full example and the names
/// of the schemas it stopped. Both are bounded, however many schemas and causes there are.
void write_run(std::ostream& out, std::ostream& err, Format format, const RunResult& result);

/// A report's problems by cause, each with one full example and the names of its schemas.
void write_causes(std::ostream& out, const Report& report, const RevisionFolder& folder);

/// What a dry run would do, group by group.
struct PlanResult {
  std::string_view command;
  std::string_view target;
  const FleetPlan* shared = nullptr;
  const FleetPlan* tenants = nullptr;
};
void write_plan(std::ostream& out, Format format, const PlanResult& result);

/// Where the fleet stands.
struct StatusResult {
  struct Group {
    Standing::State state = Standing::State::marked;
    std::string revision;  ///< `0012_backfill_total`, `base`
    std::size_t behind = 0;
    std::size_t repeatables = 0;  ///< to be applied, for the first time or again
    std::string note;             ///< why it needs somebody: edited, late, foreign, ...
    std::vector<std::string> schemas;
  };
  Scope scope = Scope::tenant;
  std::string head;
  std::size_t revisions = 0;
  std::size_t repeatables = 0;
  std::vector<Group> groups;  ///< at head first
};
/// With the moves of tenants that are not ended, if they are to be told.
void write_status(std::ostream& out, Format format, std::string_view command,
                  const std::vector<StatusResult>& scopes, bool lists_all,
                  const std::vector<TenantMove>& moves = {});

/// The error that ended the command: on `err` for people; with json also a document on `out`.
void write_error(std::ostream& out, std::ostream& err, Format format, std::string_view kind,
                 const Error& error);

/// `1.2 s`, `850 ms`, `3 min 5 s`.
std::string duration_text(std::chrono::milliseconds duration);

/// `12 s`, `3 min`, `2 h 5 min`.
std::string rough_duration_text(std::chrono::steady_clock::duration duration);

/// `pid 4711 (user app, psql, idle in transaction for 3 min): UPDATE ...`, on one line.
std::string blocker_text(const Blocker& blocker);

/// `959 applied, 41 failed`: what is not 0; `none` without a schema.
std::string counts_text(const Report& report);

using SchemaList = std::vector<const SchemaReport*>;

/// The slowest five of ten schemas or more, the slowest first.
SchemaList slowest_of(const Report& report);
/// A run took so long that a person wants to know what took the time.
inline bool is_long(const Report& report) { return report.duration >= std::chrono::seconds(5); }

/// Those with tries that failed (locks, lost connections), most first.
SchemaList retried_of(const Report& report);

/// The sessions that stood in the way of a cause's schemas, with the number of schemas each.
std::vector<std::pair<const Blocker*, std::size_t>> blockers_of(const Cause& cause);

std::size_t problem_count(const Report& report);

/// How many causes are told to a person in full.
inline constexpr std::size_t shown_causes = 10;

/// How many names of a cause's schemas are shown to a person: all of a few, the first of many.
std::size_t shown_names(std::size_t count);

/// `0012_backfill_total`; a number that is not in the folder as digits; 0 as `base`.
std::string revision_text(const RevisionFolder& folder, RevisionNumber number);

/// A place as `file:line:column`, the line and a caret under the column; each line indented.
std::string place_text(const Place& place, std::string_view indent);

}  // namespace tenantctl
