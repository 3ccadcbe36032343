#pragma once

#include <iosfwd>

#include "migrate/migrator.h"
#include "rollout/fleet_plan.h"

namespace tenantctl {

/// The SQL that a run would send, for each group's first schema, as a script for psql: the user's
/// statements byte by byte, ours with their values in place.
void write_sql(std::ostream& out, const FleetPlan& plan, const MigrateOptions& options);

}  // namespace tenantctl
