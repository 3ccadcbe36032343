#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "output/cluster_writer.h"
#include "tenant/joined_clusters.h"
#include "tenant/tenant_places.h"
#include "tenant/tenant_rows.h"

namespace tenantctl::cli {

class Session;

/// What the clusters that have joined the registry (`registry join`) have of the fleet, as their
/// own registries say.
struct JoinedFleet {
  std::vector<RegisteredTenant> tenants = {};  ///< their cluster in each
  /// A home of shared rows, or one of the pool: upgraded as tenants are.
  struct Place {
    std::string cluster;
    TenantPlace there;

    std::string name() const;  ///< as the fleet calls it
  };
  std::vector<Place> places = {};
  /// Clusters of which not all is known, and why: a run that leaves them out has not gone over the
  /// fleet.
  std::map<std::string, std::string> problems = {};

  /// What stands among a run's results for all that a cluster has; all their names begin with it.
  static std::string name_of_all(const std::string& cluster) { return cluster + ":"; }
};

/// Reads them, each over a connection of its own. A cluster that cannot be read, or leads to
/// another registry than the one that joined, is a problem and nothing of it is told. Who had one
/// in `before` is not waited for again. Throws UsageError for a cluster that no setting names.
JoinedFleet read_joined(const Context& context, Session& session,
                        const std::vector<JoinedCluster>& clusters, const JoinedFleet& before);

/// The registry that stands in a cluster's database, and who it has. Throws UsageError where there
/// is none that can be used or it has tenants on further clusters, ConnectFailed, ConnectionLost.
std::pair<JoinedCluster, std::vector<RegisteredTenant>> registry_in(const Context& context,
                                                                    Session& session,
                                                                    const std::string& cluster);
/// Throws UsageError unless that is the registry that has joined under the cluster's name.
void check_registry(const JoinedCluster& joined, const JoinedCluster& found);

/// Has the registry keep in mind who is on the clusters now, one after the other. One that cannot
/// be read keeps no other from being. `run` as in JoinedClusters::sync().
std::vector<ClusterSync> sync_joined(const Context& context, Session& session,
                                     const std::vector<JoinedCluster>& clusters,
                                     const std::string& run = {});

}  // namespace tenantctl::cli
