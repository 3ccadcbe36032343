#include "cli/database_life.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "cli/database_admin.h"
#include "cli/options.h"
#include "cli/tenants.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

constexpr std::string_view duplicate_database = "42P04";

// What the database is called once its tenant is: empty if its name has nothing to do with the
// slug.
std::string database_named_after(const RegisteredTenant& tenant, const std::string& to) {
  if (!tenant.database.ends_with(tenant.slug))
    return "";
  const std::string name =
      tenant.database.substr(0, tenant.database.size() - tenant.slug.size()) + to;
  if (name.size() > SchemaName::max_bytes) {
    throw UsageError(
        fmt::format("the database's name {} is longer than {} bytes", name, SchemaName::max_bytes),
        "PostgreSQL would cut it; use a shorter name.");
  }
  return name;
}

// The new name is nobody's, or this tenant's since a rename that was killed.
void rename_there(Databases& databases, const RegisteredTenant& tenant, const std::string& to) {
  const std::string& from = tenant.database;
  const std::vector<FoundDatabase> found = databases.find({from, to});
  const auto is_there = [&found](const std::string& name) {
    return std::ranges::count(found, name, &FoundDatabase::name) > 0;
  };
  if (is_there(to)) {
    if (!is_there(from) && tenant.renaming == to)
      return;
    throw UsageError(fmt::format("there is a database {} already", escaped_name(to)),
                     "Use another name; nothing was changed.");
  }
  if (!is_there(from)) {
    throw UsageError(fmt::format("there is no database {}", escaped_name(from)),
                     tenant.renaming.empty()
                         ? "tenantctl registry check compares registry and databases."
                         : fmt::format("A rename to {} was begun: the same command finishes it.",
                                       escaped_name(tenant.renaming)));
  }
  try {
    databases.rename(from, to);
  } catch (const pq::ServerError& error) {
    if (error.is(object_in_use)) {
      throw Error(fmt::format("database {} was not renamed: {}", escaped_name(from), error.what()),
                  "End the sessions that are connected to it; tenant suspend keeps the gate shut "
                  "meanwhile. Nothing was changed.");
    }
    if (error.is(duplicate_database)) {
      throw UsageError(fmt::format("there is a database {} already", escaped_name(to)),
                       "Use another name; nothing was changed.");
    }
    throw;
  }
}

}  // namespace

void check_our_databases(const Context& context, Session& session,
                         const std::vector<RegisteredTenant>& tenants,
                         const std::string& admin_url) {
  std::map<std::string, std::vector<std::string>> by_cluster;
  for (const RegisteredTenant& tenant : tenants)
    by_cluster[tenant.cluster].push_back(tenant.database);
  for (const auto& [cluster, names] : by_cluster) {
    const DatabaseRoles roles = roles_of(session, cluster);
    DatabaseAdmin admin(context, admin_options(session, cluster, admin_url), roles);
    for (const FoundDatabase& found : admin.databases().find(names)) {
      if (found.owner != roles.owner) {
        throw UsageError(fmt::format("database {} belongs to {}: it is not ours to change or drop",
                                     found.name, found.owner),
                         "Look at the tenant's row in the registry.");
      }
    }
  }
  for (const RegisteredTenant& tenant : tenants) {
    if (tenant.is_being_made) {
      throw UsageError(fmt::format("tenant {} is being made", tenant.slug),
                       "Wait for the other run.");
    }
  }
}

// Killed in between, the same command finds the database under the name that the row says it was to
// have.
std::optional<NameChange> rename_database(const Context& context, Session& session,
                                          const RegisteredTenant& tenant, const std::string& to,
                                          const std::string& admin_url) {
  TenantRegistry registry = tenant_registry(context, session);
  const std::string name = database_named_after(tenant, to);
  registry.check_free(to);
  if (name.empty()) {
    registry.rename(tenant, to, "");
    return std::nullopt;
  }
  check_our_databases(context, session, {tenant}, admin_url);
  const DatabaseRoles roles = roles_of(session, tenant.cluster);
  DatabaseAdmin admin(context, admin_options(session, tenant.cluster, admin_url), roles);
  Databases& databases = admin.databases();
  if (!databases.find({tenant.database}).empty() && databases.find({name}).empty())
    registry.begin_renaming(tenant, name);
  rename_there(databases, tenant, name);
  registry.rename(tenant, to, name);
  return NameChange{.from = tenant.database, .to = name};
}

// The gate first: what it lets in ends by itself, and then nobody is let in at all.
void put_database_aside(const Context& context, Session& session, const RegisteredTenant& tenant,
                        const std::string& admin_url, bool force) {
  TenantRegistry registry = tenant_registry(context, session);
  DatabaseAdmin admin(context, admin_options(session, tenant.cluster, admin_url),
                      roles_of(session, tenant.cluster));
  Databases& databases = admin.databases();
  if (databases.find({tenant.database}).empty()) {
    throw Error(fmt::format("there is no database {}", escaped_name(tenant.database)),
                "tenantctl tenant drop --purge removes the row.");
  }
  registry.put_aside(tenant);
  std::string reason;
  try {
    databases.shut(tenant.database);
    const std::size_t connected = databases.end_sessions(tenant.database, force);
    if (connected == 0)
      return;
    reason = counted(connected, "session is", "sessions are") + " connected to it";
  } catch (const pq::ServerError& error) {
    reason = error.what();
  }
  if (!tenant.is_kept) {
    databases.reopen(tenant.database);
    registry.bring_back(tenant.slug);
  }
  throw Error(fmt::format("database {} was not shut: {}", escaped_name(tenant.database), reason),
              force ? "Whom this role may not end, a superuser has to." : "--force ends sessions.");
}

void bring_database_back(const Context& context, Session& session, const RegisteredTenant& tenant,
                         const std::string& admin_url) {
  DatabaseAdmin admin(context, admin_options(session, tenant.cluster, admin_url),
                      roles_of(session, tenant.cluster));
  const std::vector<FoundDatabase> found = admin.databases().find({tenant.database});
  if (found.empty() || found.front().is_broken) {
    throw Error(fmt::format("database {} is {}", escaped_name(tenant.database),
                            found.empty() ? "gone" : "half-dropped"),
                "tenantctl tenant purge removes what is left.");
  }
  admin.databases().reopen(tenant.database);
}

std::string drop_role_of_database(const Context& context, Session& session, const std::string& role,
                                  const std::string& cluster) {
  try {
    SiteSession there(session.connect_options(main_site(cluster)));
    runtime_roles_there(context, session, there.pipeline()).drop(role);
    return "";
  } catch (const Error& error) {
    // A translation: the tenant is gone, and that must be told.
    return error.what();
  }
}

std::string purge_database(const Context& context, Session& session, const RegisteredTenant& tenant,
                           const std::string& admin_url, bool force) {
  TenantRegistry registry = tenant_registry(context, session);
  DatabaseAdmin admin(context, admin_options(session, tenant.cluster, admin_url),
                      roles_of(session, tenant.cluster));
  // Shut already: as long as the server has not dropped it, it can come back.
  if (!tenant.is_kept)
    registry.begin_purge(tenant);
  try {
    admin.databases().drop(tenant.database, force);
  } catch (const pq::ServerError& error) {
    // A refusal of the server's: all of it is still there.
    const bool is_to_return =
        !tenant.is_kept && tenant.state != "provisioning" && tenant.state != "deleting";
    if (is_to_return)
      registry.change_state({tenant.slug}, {"deleting"}, tenant.state, "");
    throw Error(
        fmt::format("database {} was not dropped: {}", tenant.database, error.what()),
        error.is(object_in_use) ? "--force ends the sessions that are connected to it." : "");
  }
  const bool is_its_own =
      !tenant.runtime_role.empty() && registry.schemas_of_roles({tenant.runtime_role}).size() == 1;
  registry.remove(tenant);
  return is_its_own ? drop_role_of_database(context, session, tenant.runtime_role, tenant.cluster)
                    : "";
}

void describe_admin(CLI::App& command, std::string& url) {
  add_setting(command, "--admin-url", url,
              "a connection that may create and drop databases; else the usual one")
      ->group("Databases");
}

}  // namespace tenantctl::cli
