#include "cli/database_admin.h"

namespace tenantctl::cli {

pq::ConnectOptions admin_options(const Session& session, const std::string& cluster,
                                 const std::string& admin_url) {
  pq::ConnectOptions options = session.connect_options(main_site(cluster));
  if (!admin_url.empty())
    options.url = admin_url;
  return options;
}

std::string role_of(Session& session, const std::string& cluster) {
  if (cluster.empty())
    return read_current_role(session.pipeline(), session.deadline());
  SiteSession there(session.connect_options(main_site(cluster)));
  return read_current_role(there.pipeline(), session.deadline());
}

DatabaseAdmin::DatabaseAdmin(const Context& context, Session& session, const std::string& cluster,
                             const std::string& admin_url)
    : DatabaseAdmin(context, admin_options(session, cluster, admin_url),
                    role_of(session, cluster)) {}

DatabaseAdmin::DatabaseAdmin(const Context& context, const pq::ConnectOptions& connect,
                             std::string owner)
    : session_(connect),
      owner_(std::move(owner)),
      databases_(session_.pipeline(), owner_, context.settings.answer_timeout) {}

}  // namespace tenantctl::cli
