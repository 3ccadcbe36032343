#include "cli/resident_gates.h"

#include <algorithm>

#include "cli/survey.h"
#include "rollout/site_visits.h"

namespace tenantctl::cli {

std::vector<std::string> path_behind(const Settings& settings) {
  std::vector<std::string> path;
  if (settings.shared_in_path)
    path.push_back(settings.shared_schema);
  path.insert(path.end(), settings.search_path_extra.begin(), settings.search_path_extra.end());
  return path;
}

ResidentGates settle_residents(const Context& context, Session& session,
                               const std::vector<RegisteredTenant>& tenants) {
  const Settings& settings = context.settings;
  std::vector<pq::ConnectOptions> sites;
  for (const RegisteredTenant& tenant : tenants)
    sites.push_back(session.connect_options(tenant.site()));
  const auto settle = [&settings, &tenants](std::size_t i, SiteSession& database) {
    ResidentGate gate(database.pipeline(), settings.owners, settings.answer_timeout);
    try {
      gate.settle({.id = tenants[i].id,
                   .slug = tenants[i].slug,
                   .schema = tenants[i].schema,
                   .version_table = settings.version_table,
                   .path_behind = path_behind(settings)});
    } catch (const UsageError& error) {
      // A translation: what one database holds keeps nobody else from it.
      throw Error(error.what(), error.hint());
    }
  };
  const std::vector<std::string> problems = visit_sites(sites, connections_for(context), settle);
  ResidentGates gates;
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    if (problems[i].empty()) {
      ++gates.settled;
    } else {
      gates.failed.push_back(
          {.tenant = tenants[i].slug, .result = "failed", .message = problems[i]});
    }
  }
  return gates;
}

}  // namespace tenantctl::cli
