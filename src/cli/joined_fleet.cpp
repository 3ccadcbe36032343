#include "cli/joined_fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "cli/database_admin.h"
#include "cli/survey.h"
#include "cli/tenants.h"

namespace tenantctl::cli {
namespace {

std::pair<JoinedCluster, std::vector<RegisteredTenant>> registry_of(const Context& context,
                                                                    SiteSession& there,
                                                                    const std::string& cluster) {
  const Settings& settings = context.settings;
  JoinedCluster found{.name = cluster, .registry = {}};
  std::vector<RegisteredTenant> tenants;
  std::vector<JoinedCluster> further;
  try {
    JoinedClusters clusters(there.pipeline(), settings.owners, settings.answer_timeout);
    found.registry = clusters.own_id();
    further = clusters.all();
    tenants = TenantRegistry(there.pipeline(), settings.owners, settings.answer_timeout).all();
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("cluster {}: {}", cluster, error.what()),
                     fmt::format("It is about that server: {}", error.hint()));
  }
  if (found.registry.empty()) {
    throw UsageError(fmt::format("cluster {} has no registry in its database", cluster),
                     fmt::format("tenantctl registry init --cluster {} makes it.", cluster));
  }
  if (!further.empty()) {
    throw UsageError(
        fmt::format("cluster {} has been joined by a further one, {}: no run from here "
                    "would reach it",
                    cluster, further.front().name),
        "Have that cluster join this registry itself, and leave the other.");
  }
  for (RegisteredTenant& tenant : tenants) {
    if (!tenant.cluster.empty()) {
      throw UsageError(
          fmt::format("tenant {} of cluster {} lives on a further one, {}: no run from "
                      "here would reach it",
                      tenant.slug, cluster, tenant.cluster),
          "Have that cluster join this registry itself.");
    }
    tenant.cluster = cluster;
  }
  return {std::move(found), std::move(tenants)};
}

std::vector<JoinedFleet::Place> places_in(const Context& context, SiteSession& there,
                                          const std::string& cluster) {
  std::vector<JoinedFleet::Place> places;
  for (TenantPlace& place :
       TenantPlaces(there.pipeline(), context.settings.owners, context.settings.answer_timeout)
           .all())
    places.push_back({.cluster = cluster, .there = std::move(place)});
  return places;
}

}  // namespace

std::string JoinedFleet::Place::name() const { return main_site(cluster).name_of(there.schema); }

void check_registry(const JoinedCluster& joined, const JoinedCluster& found) {
  if (joined.registry != found.registry) {
    throw UsageError(fmt::format("cluster {} leads to another registry than the one that joined "
                                 "under that name",
                                 joined.name),
                     fmt::format("Look at its connection string; after tenantctl registry leave {} "
                                 "another one may join.",
                                 joined.name));
  }
}

std::pair<JoinedCluster, std::vector<RegisteredTenant>> registry_in(const Context& context,
                                                                    Session& session,
                                                                    const std::string& cluster) {
  SiteSession there(session.connect_options(main_site(cluster)));
  return registry_of(context, there, cluster);
}

namespace {

JoinedFleet read_part(const Context& context, SiteSession& there, const JoinedCluster& cluster) {
  JoinedFleet part;
  auto [found, tenants] = registry_of(context, there, cluster.name);
  check_registry(cluster, found);
  part.tenants = std::move(tenants);
  part.places = places_in(context, there, cluster.name);
  return part;
}

}  // namespace

JoinedFleet read_joined(const Context& context, Session& session,
                        const std::vector<JoinedCluster>& clusters, const JoinedFleet& before) {
  JoinedFleet fleet;
  fleet.problems = before.problems;
  std::vector<JoinedCluster> asked;
  std::vector<pq::ConnectOptions> sites;
  for (const JoinedCluster& cluster : clusters) {
    if (fleet.problems.contains(cluster.name))
      continue;
    try {
      sites.push_back(session.connect_options(main_site(cluster.name)));
      asked.push_back(cluster);
    } catch (const UsageError& error) {
      fleet.problems.emplace(cluster.name, error.what());
    }
  }
  std::vector<JoinedFleet> parts(asked.size());
  const auto problems =
      visit_sites(sites, connections_for(context), [&](std::size_t i, SiteSession& there) {
        try {
          parts[i] = read_part(context, there, asked[i]);
        } catch (const UsageError& error) {
          // A translation: what one cluster is not keeps no other from being read.
          throw Error(error.what(), error.hint());
        }
      });
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (problems[i].empty()) {
      std::ranges::move(parts[i].tenants, std::back_inserter(fleet.tenants));
      std::ranges::move(parts[i].places, std::back_inserter(fleet.places));
    } else {
      fleet.problems.emplace(asked[i].name, problems[i]);
    }
  }
  return fleet;
}

namespace {

ClusterSync sync_one(const Context& context, Session& session, const JoinedCluster& cluster,
                     const std::string& run) {
  ClusterSync sync{.cluster = cluster.name};
  try {
    session.revive();
    sync.synced = joined_clusters(context, session).sync(cluster.name, run, [&] {
      auto [found, tenants] = registry_in(context, session, cluster.name);
      check_registry(cluster, found);
      sync.tenants = tenants.size();
      return tenants;
    });
  } catch (const Error& error) {
    // A translation: it is told with the others.
    sync.problem = error.what();
  }
  return sync;
}

}  // namespace

std::vector<ClusterSync> sync_joined(const Context& context, Session& session,
                                     const std::vector<JoinedCluster>& clusters,
                                     const std::string& run) {
  std::vector<ClusterSync> syncs;
  for (const JoinedCluster& cluster : clusters)
    syncs.push_back(sync_one(context, session, cluster, run));
  // A tenant that has gone from one to another was still at the first when the second was read.
  for (std::size_t i = 0; i < syncs.size(); ++i) {
    if (syncs[i].synced.refused.empty() || clusters.size() == 1)
      continue;
    ClusterSync again = sync_one(context, session, clusters[i], run);
    std::ranges::move(syncs[i].synced.added, std::back_inserter(again.synced.added));
    std::ranges::move(syncs[i].synced.removed, std::back_inserter(again.synced.removed));
    syncs[i] = std::move(again);
  }
  return syncs;
}

}  // namespace tenantctl::cli
