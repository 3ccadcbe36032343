#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"
#include "tenant/tenant_rows.h"

namespace tenantctl {

/// A cluster that has joined, and the id of the registry that is its own. Wherever its name leads,
/// only that registry is it.
struct JoinedCluster {
  std::string name;
  std::string registry;
};

/// Clusters whose tenants another registry knows, that of a database there: this one only keeps in
/// mind who they are, so that a slug is one tenant's wherever he lives and anybody can ask where
/// that is. Who changes them works over there. All SQL about tenantctl.registry, tenantctl.cluster
/// and tenantctl.cluster_tenant, tables of the registry.
///
/// Every function throws what Components throws; those that write throw UsageError where there is
/// no registry.
class JoinedClusters {
 public:
  /// `patience` with an answer.
  JoinedClusters(pq::Pipeline& pipeline, std::vector<std::string> owners,
                 std::chrono::milliseconds patience)
      : pipeline_(pipeline),
        patience_(patience),
        components_(pipeline, std::move(owners), patience) {}

  /// The id of this database's own registry, which a copy of the database has too; empty where
  /// there is none.
  std::string own_id();
  /// By name. None where there is no registry.
  std::vector<JoinedCluster> all();
  /// The same as part of somebody else's reading of the registry.
  static pq::Message read(std::vector<JoinedCluster>& clusters);

  /// What a sync found to do, by slug.
  struct Synced {
    std::vector<std::string> added;  ///< a tenant that changed has gone and come
    std::vector<std::string> removed;
    std::vector<std::string> refused;  ///< another tenant has the slug, or the id
  };

  /// Writes down that a cluster's registry belongs to this one, and who is there. Throws UsageError
  /// for a registry that has joined under another name, is this one or has a tenant of it (one is
  /// a copy of the other), and while this registry has tenants on that cluster itself.
  Synced join(const JoinedCluster& cluster, const std::vector<RegisteredTenant>& tenants);
  /// Forgets the cluster and all its tenants. Throws UsageError for one that has not joined.
  void leave(const std::string& cluster);

  /// Makes the tenants of a cluster what `read` finds over there. It is called while no other sync
  /// of that cluster is under way, so that what is written is never older than what was. Slugs that
  /// only `run` has reserved are free again. Does nothing for a cluster that has left. Throws what
  /// `read` throws, Error if another sync takes too long.
  Synced sync(const std::string& cluster, const std::string& run,
              const std::function<std::vector<RegisteredTenant>()>& read);

  /// Keeps slugs free for tenants that a run is about to make on the cluster, until it syncs, or
  /// for ten minutes; several runs may do so on one cluster. Returns those that somebody has who
  /// does not live there, and where: for them nothing is reserved.
  std::map<std::string, std::string> reserve(const std::string& cluster,
                                             const std::vector<std::string>& slugs,
                                             const std::string& run);

  /// Who was there when they were read last, by slug, their cluster in each.
  std::vector<RegisteredTenant> tenants();
  /// Those of them that have one of the names as slug or place, for somebody else's reading.
  static pq::Message find(const std::vector<std::string>& names,
                          std::vector<RegisteredTenant>& tenants);

 private:
  pq::Pipeline& pipeline_;
  std::chrono::milliseconds patience_;
  Components components_;
};

}  // namespace tenantctl
