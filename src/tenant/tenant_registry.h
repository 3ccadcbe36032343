#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"

namespace tenantctl {

/// All SQL about tenantctl.tenant, where a database's tenants are registered once `registry init`
/// has installed it: who they are, where they live and in which state. Fleets without it go on by
/// marks alone.
///
/// Every function throws what Components throws; those that write throw UsageError where there is
/// no registry.
class TenantRegistry {
 public:
  /// `patience` with an answer.
  TenantRegistry(pq::Pipeline& pipeline, std::vector<std::string> owners,
                 std::chrono::milliseconds patience = std::chrono::seconds(120))
      : components_(pipeline, std::move(owners), patience) {}

  /// Makes the registry, or takes it to this version.
  Installed install();
  bool is_installed();

  /// Registers schemas that are tenants already, as ready, each under its own name. Returns those
  /// that were not registered before, sorted. Names that no slug may have are not for it.
  std::vector<std::string> adopt(const std::vector<std::string>& schemas);

  /// Those of `schemas` that are some tenant's, sorted.
  std::vector<std::string> registered(const std::vector<std::string>& schemas);

  /// Whether a tenant may be called so: lower-case letter first, then [a-z0-9_-], 63 bytes.
  static bool is_slug(std::string_view text);

 private:
  Components components_;
};

}  // namespace tenantctl
