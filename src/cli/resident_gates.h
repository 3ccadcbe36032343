#pragma once

#include <string>
#include <vector>

#include "cli/session.h"
#include "output/gate_writer.h"
#include "tenant/resident_gate.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What stands behind a tenant's schema in the search_path that its revisions see.
std::vector<std::string> path_behind(const Settings& settings);

/// Has the gate inside each of these tenants' own databases stand at this version and know its
/// tenant. A few at a time; one that cannot be reached or changed is told and keeps none of the
/// others from it.
ResidentGates settle_residents(const Context& context, Session& session,
                               const std::vector<RegisteredTenant>& tenants);

}  // namespace tenantctl::cli
