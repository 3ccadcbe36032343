#include "cli/pool_roles.h"

#include <fmt/format.h>

#include "cli/tenants.h"

namespace tenantctl::cli {

PoolRoles::PoolRoles(const Context& context, Session& session, const RuntimeRoleOptions& options,
                     const std::vector<TenantPlace>& places)
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
  std::vector<std::string> names;
  for (const TenantPlace& place : places)
    names.push_back(place.runtime_role);
  found_ = roles.find(names, options_.members);
  shared_ = tenant_registry(context, session).shared_roles();
}

bool PoolRoles::fit(const TenantPlace& place) const {
  const std::string& role = place.runtime_role;
  if (!options_.has_own_roles())
    return role == options_.runtime_role;
  const bool is_to_come = !place.is_ready && !role.empty() && found_.absent.contains(role);
  return !shared_.contains(role) && (is_to_come || found_.fitting.contains(role));
}

std::string PoolRoles::name_for(const std::string& schema) const {
  constexpr std::size_t digits = 8;
  if (!options_.has_own_roles())
    return options_.runtime_role;
  return RuntimeRoles::name_of(database_, fmt::format("{}_{}", schema, run_.substr(0, digits)));
}

}  // namespace tenantctl::cli
