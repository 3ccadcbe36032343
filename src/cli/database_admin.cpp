#include "cli/database_admin.h"

namespace tenantctl::cli {

pq::ConnectOptions admin_options(const Session& session, const std::string& cluster,
                                 const std::string& admin_url) {
  pq::ConnectOptions options = session.connect_options(main_site(cluster));
  // Whoever that is acts as itself: it is there because it may do what the owner may not.
  if (!admin_url.empty()) {
    options.url = admin_url;
    options.role.clear();
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
      databases_(session_.pipeline(), roles, context.settings.answer_timeout) {
  // Databases of the same name may be somebody else's there.
  if (server_identity(session_.pipeline(), pq::Clock::now() + context.settings.answer_timeout) !=
      roles.server) {
    throw UsageError("--admin-url leads to another server than the tenants' databases are on",
                     "Give one of that server; it may be left out where the usual role may create "
                     "databases.");
  }
  // CREATE DATABASE stands in no transaction, so that the role would stay in a pooler's session.
  if (!connect.role.empty() && session_.via_pooler()) {
    throw UsageError(
        "databases cannot be made, changed or dropped as another role through a pooler",
        "Name a connection past the pooler with --admin-url.");
  }
}

}  // namespace tenantctl::cli
