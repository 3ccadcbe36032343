#include "cli/pool_roles.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/tenants.h"

namespace tenantctl::cli {

PoolRoles::PoolRoles(const Context& context, Session& session, const RuntimeRoleOptions& options)
    : options_(options), run_(session.run_id()) {
  if (options_.runtime_role.empty())
    return;
  RuntimeRoles roles = runtime_roles(context, session);
  if (!options_.has_own_roles()) {
    roles.check_given(options_.runtime_role);
    return;
  }
  for (const std::string& member : options_.members)
    roles.check_given(member);
  database_ = roles.database();
  ours_ = roles.ours(options_.members);
}

bool PoolRoles::fit(const TenantPlace& place) const {
  if (!options_.has_own_roles())
    return place.runtime_role == options_.runtime_role;
  return std::ranges::binary_search(ours_, place.runtime_role);
}

std::string PoolRoles::name_for(const std::string& schema) const {
  constexpr std::size_t digits = 8;
  if (!options_.has_own_roles())
    return options_.runtime_role;
  return RuntimeRoles::name_of(database_, fmt::format("{}_{}", schema, run_.substr(0, digits)));
}

}  // namespace tenantctl::cli
