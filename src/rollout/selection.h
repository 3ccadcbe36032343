#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tenant/fleet.h"

namespace tenantctl {

/// Which tenants of the fleet a command is about. All conditions must hold; none means all. A
/// tenant that has a database of its own goes by its slug as well as by `database/schema`.
struct Selection {
  std::vector<std::string> schemas;   ///< exactly these (--schema, --tenants-file)
  std::vector<std::string> tenants;   ///< globs, any of which must match (--tenants)
  std::vector<std::string> excludes;  ///< globs, none of which may match (--exclude)
  bool only_behind = false;           ///< judged where the plans are known, not by select_tenants()

  /// Something was asked for: then nothing selected is a mistake, not an empty fleet.
  bool is_filter() const { return !schemas.empty() || !tenants.empty() || !excludes.empty(); }
};

/// Indexes into fleet.schemas of the tenants that meet all conditions, in its order: perhaps none.
std::vector<std::uint32_t> matching_tenants(const Fleet& fleet, const Selection& selection,
                                            const std::string& shared_schema);

/// Indexes into fleet.schemas, in its order. The shared schema is no tenant. Throws UsageError if a
/// filter matches nothing, naming the nearest schema, and for a named schema that is not there.
std::vector<std::uint32_t> select_tenants(const Fleet& fleet, const Selection& selection,
                                          const std::string& shared_schema);

}  // namespace tenantctl
