#include <algorithm>

#include "cli/migration.h"
#include "cli/pool_roles.h"
#include "cli/signals.h"
#include "cli/tenants.h"
#include "output/tenant_writer.h"

namespace tenantctl::cli {
namespace {

// The roles of what waits in the pool and is as asked for; empty text: none.
std::vector<std::string> roles_on_offer(const Context& context, Session& session,
                                        const RuntimeRoleOptions& options) {
  std::vector<TenantPlace> places = tenant_places(context, session).all();
  std::erase_if(places,
                [](const TenantPlace& place) { return place.is_home() || !place.is_ready; });
  std::vector<std::string> roles;
  if (places.empty())
    return roles;
  const PoolRoles asked_for(context, session, options, places);
  for (const TenantPlace& place : places) {
    if (asked_for.fit(place))
      roles.push_back(place.runtime_role);
  }
  return roles;
}

}  // namespace

std::optional<ExitCode> claim_tenant(const Context& context, Session& session,
                                     const Folders& folders, const SeedWork& work,
                                     const Claim& claim) {
  const NewcomerOptions& options = claim.options;
  const std::vector<std::string> roles = roles_on_offer(context, session, options);
  if (roles.empty())
    return std::nullopt;
  const NewTenant tenant{.slug = options.slug.empty() ? claim.schema : options.slug,
                         .name = options.name.empty() ? claim.schema : options.name,
                         .schema = claim.schema};
  const auto& revisions = folders.tenant.revisions();
  const std::string minimum = revisions.empty() ? "" : revisions.back().digits;
  Gate gate = tenant_gate(context, session);
  const auto begin = [&](SeedRun& run) -> std::vector<SeedTarget> {
    SeedTarget target{.schema = SchemaName::existing(tenant.schema),
                      .slug = tenant.slug,
                      .name = tenant.name,
                      .tier = options.traits.tier,
                      .metadata = options.traits.metadata};
    try {
      run.run(gate.claim_along(tenant, options.traits, minimum, roles, target.id));
    } catch (const pq::ServerError& error) {
      Gate::explain_claim(error, tenant);
      return {};
    }
    return {target};
  };
  watch_signals();
  tenant_registry(context, session).reserve({tenant.slug});
  const bool is_claimed = work.is_empty() ? gate.claim(tenant, options.traits, minimum, roles)
                                          : Seeder(context, session, work).seed_along(begin);
  if (!is_claimed)
    return std::nullopt;
  write_claimed(*context.out, context.settings.output, tenant.slug, tenant.schema);
  return ExitCode::ok;
}

}  // namespace tenantctl::cli
