#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tenant/fleet.h"
#include "tenant/tenant_registry.h"

namespace tenantctl {

/// What the registry must say of a tenant: in each list one of the words, and none of the excluded
/// states. Empty lists ask nothing; who has no row has neither state nor tier.
struct RegistryFilter {
  std::vector<std::string> states = {};
  std::vector<std::string> exclude_states = {};
  std::vector<std::string> tiers = {};
  std::vector<std::string> isolations = {};

  /// Only tenants with a row can pass.
  bool asks_for_rows() const { return !states.empty() || !tiers.empty() || !isolations.empty(); }
  bool is_empty() const { return !asks_for_rows() && exclude_states.empty(); }
  bool passes(const RegisteredTenant& tenant) const;
  /// A home of shared rows is nobody's own: it has an isolation, but neither state nor tier.
  bool passes_home() const;
};

/// Which tenants of the fleet a command is about. All conditions must hold; none means all. A
/// tenant who lives elsewhere goes by its slug as well as by its place (`database/schema`).
struct Selection {
  std::vector<std::string> schemas = {};   ///< exactly these (--schema, --tenants-file)
  std::vector<std::string> tenants = {};   ///< globs, any of which must match (--tenants)
  std::vector<std::string> excludes = {};  ///< globs, none of which may match (--exclude)
  RegistryFilter registry = {};            ///< judged by keep_registered()
  bool only_behind = false;  ///< judged where the plans are known, not by select_tenants()

  /// Something was asked for: then nothing selected is a mistake, not an empty fleet.
  bool is_filter() const {
    return !schemas.empty() || !tenants.empty() || !excludes.empty() || registry.asks_for_rows();
  }
  /// As far as the names decide by which a tenant may be called; either may be empty.
  bool takes(const std::string& name, const std::string& other = {}) const;
};

/// What the registry knows, to judge selected schemas by.
struct RegisteredFleet {
  std::vector<RegisteredTenant> tenants;
  std::vector<std::string> homes;  ///< schemas of shared rows
};

/// Of `selected`, leaves those that the filter lets pass.
void keep_registered(std::vector<std::uint32_t>& selected, const Fleet& fleet,
                     const RegistryFilter& filter, const RegisteredFleet& registered);

/// Indexes into fleet.schemas of the tenants that meet all conditions, in its order: perhaps none.
std::vector<std::uint32_t> matching_tenants(const Fleet& fleet, const Selection& selection,
                                            const std::string& shared_schema);

/// Indexes into fleet.schemas, in its order. The shared schema is no tenant. Throws UsageError if a
/// filter matches nothing, naming the nearest schema, and for a named schema that is not there.
std::vector<std::uint32_t> select_tenants(const Fleet& fleet, const Selection& selection,
                                          const std::string& shared_schema);

}  // namespace tenantctl
