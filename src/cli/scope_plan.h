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

/// Whether tenants that appear while the run goes on belong to it: not where schemas were named,
/// one by one or out of the ledger.
bool follows_newcomers(const Context& context, const Migration& migration);

/// What a command plans with. Views the command's.
struct Planning {
  const Context& context;
  Session& session;
  const Folders& folders;
  const Migration& migration;
  SharedScope& shared_scope;
};

/// Reads where the selected tenants stand and plans for each group of them. The result views what
/// the planning does.
ScopeRun plan_tenants(const Planning& planning, const Selected& selected);

/// The scopes that the migration is about; none of it is there for the other.
struct ScopeRuns {
  std::optional<ScopeRun> shared;
  std::optional<ScopeRun> tenants;
};

/// Reads the fleet and where it stands, in every database that a selected tenant lives in, and
/// plans. Throws UsageError for a named schema that is not there or has no version table.
ScopeRuns plan_scopes(const Planning& planning);

}  // namespace tenantctl::cli
