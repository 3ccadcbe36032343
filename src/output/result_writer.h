#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "output/format.h"
#include "revision/revision_folder.h"
#include "rollout/fleet_plan.h"
#include "rollout/report.h"

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
};

/// The summary on `out`; in text each cause of failure goes to `err`, with one full example and the
/// names of all schemas it stopped.
void write_run(std::ostream& out, std::ostream& err, Format format, const RunResult& result);

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
    std::string note;  ///< why it needs somebody: edited, late, foreign, ...
    std::vector<std::string> schemas;
  };
  Scope scope = Scope::tenant;
  std::string head;
  std::size_t revisions = 0;
  std::vector<Group> groups;  ///< at head first
};
void write_status(std::ostream& out, Format format, std::string_view command,
                  const std::vector<StatusResult>& scopes, bool lists_all);

/// The error that ended the command: on `err` for people; with json also a document on `out`.
void write_error(std::ostream& out, std::ostream& err, Format format, std::string_view kind,
                 const Error& error);

/// `1.2 s`, `850 ms`, `3 min 5 s`.
std::string duration_text(std::chrono::milliseconds duration);

/// `0012_backfill_total`; a number that is not in the folder as digits; 0 as `base`.
std::string revision_text(const RevisionFolder& folder, RevisionNumber number);

/// A place as `file:line:column`, the line and a caret under the column; each line indented.
std::string place_text(const Place& place, std::string_view indent);

}  // namespace tenantctl
