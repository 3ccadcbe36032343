#pragma once

#include <string>
#include <vector>

#include "cli/migration.h"
#include "cli/registration.h"
#include "cli/seeds.h"
#include "cli/session.h"
#include "rollout/site_visits.h"
#include "tenant/databases.h"
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

/// Both scopes to head, in these tenants' databases and nowhere else. `tenants` must outlive it.
Migration migration_in(const Folders& folders, const std::vector<NewTenant>& tenants);

/// A run of which nobody is told, and that no ledger has, unless it fails: throws Error with what
/// it said.
void migrate_quietly(const Context& context, Session& session, const Folders& folders,
                     const Migration& migration);

/// `tenant create --isolation database`: a database for each, with the shared and the tenant scope
/// at head and their seeds. Registered as provisioning before anything is made and as ready when
/// all of it stands; of a tenant that fails nothing is left. What a killed run left is finished by
/// the next that makes the same tenant.
ExitCode create_databases(const Context& context, const Folders& folders, const SeedWork& work,
                          const DatabaseNames& names, const DatabaseOptions& options,
                          const NewcomerOptions& newcomer);

}  // namespace tenantctl::cli
