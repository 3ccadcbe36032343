#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"
#include "output/life_writer.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What happens to tenants that have a database of their own, on this server or another. Row and
/// database cannot change in one transaction: the order of the steps is such that the same command,
/// given again, finishes what was killed in between.

/// Throws UsageError for a database that is not ours, or that a run is making.
void check_our_databases(const Context& context, Session& session,
                         const std::vector<RegisteredTenant>& tenants,
                         const std::string& admin_url);

/// Gives the tenant another slug, and its database the name that goes with it, if the old one ends
/// in the old slug. Nothing if the database keeps its name. Throws Error while somebody is
/// connected to it, UsageError if the new name is taken.
std::optional<NameChange> rename_database(const Context& context, Session& session,
                                          const RegisteredTenant& tenant, const std::string& to,
                                          const std::string& admin_url);

/// Shuts the tenant's database and says so in the registry; it can be brought back. Throws Error
/// while somebody is connected to it, unless `force` ends those sessions.
void put_database_aside(const Context& context, Session& session, const RegisteredTenant& tenant,
                        const std::string& admin_url, bool force);

/// Lets connections in again, then the gate. Throws Error if the database is gone or half-dropped.
void bring_database_back(const Context& context, Session& session, const RegisteredTenant& tenant,
                         const std::string& admin_url);

/// Drops the tenant's database and its row. Registered as deleting meanwhile: purging it again
/// finishes what was stopped. Throws Error if somebody is connected, unless `force`. Returns why
/// the role that was this tenant's alone is kept; empty if it is not.
std::string purge_database(const Context& context, Session& session, const RegisteredTenant& tenant,
                           const std::string& admin_url, bool force);

/// Removes the runtime role of a tenant whose database is gone, if the tool made it. Returns why
/// it is kept; empty if it is not.
std::string drop_role_of_database(const Context& context, Session& session, const std::string& role,
                                  const std::string& cluster);

/// --admin-url.
void describe_admin(CLI::App& command, std::string& url);

}  // namespace tenantctl::cli
