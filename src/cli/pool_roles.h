#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/registration.h"
#include "cli/session.h"
#include "tenant/runtime_roles.h"
#include "tenant/tenant_places.h"

namespace tenantctl::cli {

/// As which roles those work who are given a tenant of the pool: each as one of its own, which is
/// made with the schema and stays its role under that name; all as one that is there; or as none.
class PoolRoles {
 public:
  /// Throws UsageError for a role or a member that is missing, or that sees everything.
  PoolRoles(const Context& context, Session& session, const RuntimeRoleOptions& options,
            const std::vector<TenantPlace>& places);

  /// Whether the role of one of the places is of that kind: if it is to be its own, then nobody
  /// else's, and the members and no others may become it. One that is not ready may have it yet to
  /// be made.
  bool fit(const TenantPlace& place) const;
  /// For a schema that is to be made; empty: none. No tenant had it before, though the pool's names
  /// come again.
  std::string name_for(const std::string& schema) const;

 private:
  const RuntimeRoleOptions& options_;
  std::string database_;
  std::string run_;
  RuntimeRoles::Found found_;
  std::set<std::string> shared_;
};

}  // namespace tenantctl::cli
