#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "output/format.h"
#include "tenant/joined_clusters.h"

namespace tenantctl {

/// What the registry learned of one cluster that has joined it.
struct ClusterSync {
  std::string cluster;
  std::size_t tenants = 0;  ///< that it has over there
  JoinedClusters::Synced synced = {};
  std::string problem = {};  ///< why nothing could be learned; else empty

  bool is_problem() const { return !problem.empty() || !synced.refused.empty(); }
};
void write_cluster_syncs(std::ostream& out, std::ostream& err, Format format,
                         std::string_view command, const std::vector<ClusterSync>& syncs);

/// After a cluster was parted with.
void write_left(std::ostream& out, Format format, std::string_view command,
                const std::string& cluster);

}  // namespace tenantctl
