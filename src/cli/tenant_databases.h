#pragma once

#include <string>
#include <vector>

#include "cli/registration.h"
#include "cli/session.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What the command line says about tenants that have a database each.
struct DatabaseOptions {
  std::string prefix = "tenant_";  ///< of the databases' names, in front of the tenant's
  std::string schema = "tenant";   ///< of the tenant, in its database
  std::string source;              ///< the template that the tool keeps at head; empty: none
  std::string cluster;             ///< out of [clusters]; empty: this server
  std::string admin_url;           ///< a role that may create databases; empty: as ever
};

/// Which tenants are to be made: named, or so many with a prefix.
struct DatabaseNames {
  std::vector<std::string> names;
  std::size_t count = 0;
  std::string prefix;
};

/// `tenant create --isolation database`: a database for each, with the shared and the tenant scope
/// at head. Registered as provisioning before anything is made and as ready when all of it stands;
/// of a tenant that fails nothing is left. What a killed run left is finished by the next that
/// makes the same tenant.
ExitCode create_databases(const Context& context, const Folders& folders,
                          const DatabaseNames& names, const DatabaseOptions& options,
                          const NewcomerOptions& newcomer);

}  // namespace tenantctl::cli
