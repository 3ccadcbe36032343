#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"
#include "tenant/tenant_rows.h"

namespace tenantctl {

/// A cluster that has joined.
struct JoinedCluster {
  std::string name;
  std::string token;  ///< stands in this registry, and must not over there: see is_here()
};

/// Clusters whose tenants another registry knows, that of a database there: this one only keeps in
/// mind who they are, so that a slug is one tenant's wherever he lives and anybody can ask where
/// that is. Who changes them works over there. All SQL about tenantctl.cluster and
/// tenantctl.cluster_tenant, two tables of the registry.
///
/// Every function throws what Components throws; those that write throw UsageError where there is
/// no registry.
class JoinedClusters {
 public:
  /// `patience` with an answer.
  JoinedClusters(pq::Pipeline& pipeline, std::vector<std::string> owners,
                 std::chrono::milliseconds patience)
      : components_(pipeline, std::move(owners), patience) {}

  /// By name. None where there is no registry.
  std::vector<JoinedCluster> all();
  /// The same as part of somebody else's reading of the registry.
  static pq::Message read(std::vector<JoinedCluster>& clusters);
  /// Writes down that a cluster's registry belongs to this one, or leaves it as it is. Throws
  /// UsageError while this registry has tenants there itself.
  JoinedCluster join(const std::string& cluster);
  /// Forgets the cluster and all its tenants. Throws UsageError for one that has not joined.
  void leave(const std::string& cluster);
  /// Whether this is the database that the cluster has joined, or a copy of it.
  bool is_here(const JoinedCluster& cluster);

  /// Who was there when they were read last, by slug, their cluster in each.
  std::vector<RegisteredTenant> tenants();
  /// Those of them that have one of the names as slug or place, for somebody else's reading.
  static pq::Message find(const std::vector<std::string>& names,
                          std::vector<RegisteredTenant>& tenants);

  /// What sync() found to do.
  struct Synced {
    std::vector<std::string> added;    ///< slugs; a tenant that changed has gone and come
    std::vector<std::string> removed;  ///< slugs
    std::vector<std::string> refused;  ///< slugs: another tenant has the slug, or the id
  };
  /// Makes the tenants of one cluster what they are over there, in one transaction.
  Synced sync(const std::string& cluster, const std::vector<RegisteredTenant>& tenants);

 private:
  Components components_;
};

}  // namespace tenantctl
