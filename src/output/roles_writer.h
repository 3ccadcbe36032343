#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "output/format.h"
#include "output/tenant_writer.h"
#include "tenant/fleet_roles.h"

namespace tenantctl {

/// What `roles install` did.
struct RolesInstall {
  FleetRoleFacts facts;           ///< as they stand now
  std::vector<std::string> done;  ///< in words
  std::size_t tables = 0;         ///< version tables here that became readable to the status role
  std::size_t databases = 0;      ///< of tenants, that let both in and are readable
  std::vector<TenantResult> failed = {};  ///< databases that could not be visited
};
void write_roles_install(std::ostream& out, std::ostream& err, Format format,
                         const RolesInstall& result);

/// The statements of the steps, to be read and to be run by psql.
void write_roles_sql(std::ostream& out, const std::vector<FleetRoleStep>& steps,
                     const std::string& owner);
/// The steps in words.
void write_roles_plan(std::ostream& out, const std::vector<FleetRoleStep>& steps);
/// The same as a document; `sql` too.
void write_roles_plan_json(std::ostream& out, const std::vector<FleetRoleStep>& steps,
                           const std::string& owner);

void write_roles(std::ostream& out, Format format, const FleetRoleFacts& facts);

}  // namespace tenantctl
