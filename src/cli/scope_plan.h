#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/migration.h"
#include "cli/session.h"
#include "cli/shared_scope.h"
#include "rollout/fleet_plan.h"

namespace tenantctl::cli {

/// One scope on its way: what was planned for it and what came of it.
struct ScopeRun {
  Scope scope = Scope::tenant;
  FleetPlan plan;
  Replan replan;
  std::optional<Report> report;
  std::vector<std::string> outside;  ///< tenants that the plan file does not know
  Fleet known;                       ///< every schema there was, if the run follows newcomers
};

/// The schemas of a scope that a command means.
struct Selected {
  const Fleet& fleet;
  std::vector<std::uint32_t> schemas;  ///< indexes of the fleet's
  bool only_behind = false;
};

std::vector<std::uint32_t> all_of(const Fleet& fleet);

/// Reads where the selected schemas stand and plans for each group of them. The result views the
/// migration, the folder and the shared scope.
ScopeRun plan_scope(Session& session, const Selected& selected, const RevisionFolder& folder,
                    const Migration& migration, SharedScope& shared);

/// A named schema that is not there, or has no version table, is a mistake of the command line:
/// throws UsageError.
void refuse_unprepared(const Context& context, const FleetPlan& plan);

}  // namespace tenantctl::cli
