#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/context.h"
#include "output/cluster_writer.h"
#include "rollout/site_visits.h"
#include "tenant/joined_clusters.h"
#include "tenant/tenant_places.h"
#include "tenant/tenant_rows.h"

namespace tenantctl::cli {

class Session;

/// What the clusters that have joined the registry (`registry join`) have of the fleet, as their
/// own registries say. Clusters that they in turn were joined by are theirs.
struct JoinedFleet {
  std::vector<RegisteredTenant> tenants;  ///< their cluster in each
  /// A home of shared rows, or one of the pool: upgraded as tenants are.
  struct Place {
    std::string cluster;
    TenantPlace there;

    std::string name() const;  ///< as the fleet calls it
  };
  std::vector<Place> places;
  /// Clusters that cannot be reached, and why: of their tenants is told what was read last.
  std::map<std::string, std::string> unreached = {};
};

/// Reads them, each over a connection of its own. Whom `before` could not reach is not waited for
/// again. Throws UsageError for a cluster whose registry cannot be used, that no setting names, or
/// that is this database or another of the clusters.
JoinedFleet read_joined(const Context& context, Session& session,
                        const std::vector<JoinedCluster>& clusters, const JoinedFleet& before);

/// Those of them that one cluster's registry has; all are of it.
std::vector<RegisteredTenant> tenants_in(const Context& context, SiteSession& there,
                                         const JoinedCluster& cluster);

/// Has the registry keep in mind who is on that cluster now.
ClusterSync sync_joined(const Context& context, Session& session, const JoinedCluster& cluster);

}  // namespace tenantctl::cli
