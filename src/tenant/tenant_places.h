#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"

namespace tenantctl {

/// A schema that stands at a version as a tenant's does and is upgraded with the fleet, but is no
/// tenant's own: a home of shared rows, whose tenants are rows of the registry that name it, or a
/// tenant of the pool that nobody has claimed yet.
struct TenantPlace {
  enum class Purpose : std::uint8_t { rows, pool };

  std::string schema;
  Purpose purpose = Purpose::rows;
  bool is_ready = false;     ///< complete: tenants may live there, or claim it
  std::string runtime_role;  ///< of a pool's schema; empty: none of its own

  bool is_home() const { return purpose == Purpose::rows; }
};

/// All SQL about tenantctl.place, a table of the registry.
///
/// Every function throws what Components throws.
class TenantPlaces {
 public:
  /// `patience` with an answer.
  TenantPlaces(pq::Pipeline& pipeline, std::vector<std::string> owners,
               std::chrono::milliseconds patience = std::chrono::seconds(120))
      : components_(pipeline, std::move(owners), patience) {}

  /// All, by schema. None where there is no registry.
  std::vector<TenantPlace> all();

  /// Writes down that a schema is to be a home of shared rows, or leaves it as it is if that is
  /// known. Throws UsageError where a tenant or the pool has the schema for itself.
  void begin_home(const std::string& schema);
  /// From here on tenants may live there.
  void finish_home(const std::string& schema);
  /// From here on nobody may. False, and nothing changes, while somebody lives there.
  bool close_home(const std::string& schema);
  void forget_home(const std::string& schema);

  /// Writes down that schemas are to be tenants of the pool, to work as these roles. Those that are
  /// known are left as they are.
  void begin_pool(const std::vector<TenantPlace>& places);
  /// From here on they may be claimed.
  void finish_pool(const std::vector<std::string>& schemas);
  /// Takes up to `count` out of the reach of claims, the newest first; waits for nobody.
  std::vector<std::string> withdraw(std::size_t count);
  /// The same of these.
  std::vector<std::string> withdraw(const std::vector<std::string>& schemas);
  /// Removes what is not ready and was not made, or is gone.
  void forget_pool(const std::vector<std::string>& schemas);

 private:
  std::vector<std::string> withdraw_where(const std::string& which, const std::string& value);

  Components components_;
};

}  // namespace tenantctl
