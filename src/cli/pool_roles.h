#pragma once

#include <string>
#include <vector>

#include "cli/registration.h"
#include "cli/session.h"
#include "tenant/tenant_places.h"

namespace tenantctl::cli {

/// As which roles those work who are given a tenant of the pool: each as one of its own, which is
/// made with the schema and stays its role under that name; all as one that is there; or as none.
class PoolRoles {
 public:
  /// Throws UsageError for a role or a member that is missing, or that sees everything.
  PoolRoles(const Context& context, Session& session, const RuntimeRoleOptions& options);

  /// Whether the schema's role is of that kind, and all members may become it.
  bool fit(const TenantPlace& place) const;
  /// For a schema that is to be made; empty: none. No tenant had it before, though the pool's names
  /// come again.
  std::string name_for(const std::string& schema) const;

 private:
  const RuntimeRoleOptions& options_;
  std::string database_;
  std::string run_;
  std::vector<std::string> ours_;
};

}  // namespace tenantctl::cli
