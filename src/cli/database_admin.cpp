#include "cli/database_admin.h"

#include <fmt/format.h>

#include "pq/server_error.h"

namespace tenantctl::cli {

namespace {

// Databases of the same names may be somebody else's on another server.
void check_admin(Session& session, const pq::ConnectOptions& admin, const std::string& cluster) {
  try {
    SiteSession asked(admin);
    SiteSession meant(session.connect_options(main_site(cluster)));
    if (server_identity(asked.pipeline(), session.deadline()) ==
        server_identity(meant.pipeline(), session.deadline()))
      return;
  } catch (const pq::ServerError& error) {
    throw UsageError(
        fmt::format("whether --admin-url leads to the server that the tenants' "
                    "databases are on cannot be told: {}",
                    error.what()),
        "Both roles need EXECUTE on pg_control_system(), which PUBLIC has by default.");
  }
  throw UsageError("--admin-url leads to another server than the tenants' databases are on",
                   "Give one of that server; it may be left out where the usual role may create "
                   "databases.");
}

}  // namespace

pq::ConnectOptions admin_options(Session& session, const std::string& cluster,
                                 const std::string& admin_url) {
  pq::ConnectOptions options = session.connect_options(main_site(cluster));
  // Whoever that is acts as itself: it is there because it may do what the owner may not.
  if (!admin_url.empty()) {
    options.url = admin_url;
    options.role.clear();
    check_admin(session, options, cluster);
  }
  return options;
}

DatabaseRoles roles_of(Session& session, const std::string& cluster) {
  if (cluster.empty())
    return read_own_roles(session.pipeline(), session.deadline());
  SiteSession there(session.connect_options(main_site(cluster)));
  return read_own_roles(there.pipeline(), session.deadline());
}

DatabaseAdmin::DatabaseAdmin(const Context& context, Session& session, const std::string& cluster,
                             const std::string& admin_url)
    : DatabaseAdmin(context, admin_options(session, cluster, admin_url),
                    roles_of(session, cluster)) {}

DatabaseAdmin::DatabaseAdmin(const Context& context, const pq::ConnectOptions& connect,
                             DatabaseRoles roles)
    : session_(connect),
      owner_(roles.owner),
      databases_(session_.pipeline(), std::move(roles), context.settings.answer_timeout) {
  // CREATE DATABASE stands in no transaction, so that the role would stay in a pooler's session.
  if (!connect.role.empty() && session_.via_pooler()) {
    throw UsageError(
        "databases cannot be made, changed or dropped as another role through a pooler",
        "Name a connection past the pooler with --admin-url.");
  }
}

}  // namespace tenantctl::cli
