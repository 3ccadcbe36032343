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

}  // namespace tenantctl::cli
