#include "cli/joined_fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "cli/database_admin.h"
#include "cli/survey.h"
#include "cli/tenants.h"
#include "pq/transaction.h"

namespace tenantctl::cli {
namespace {

/// What one cluster has.
struct Part {
  std::string identity;
  std::vector<RegisteredTenant> tenants;
  std::vector<JoinedFleet::Place> places;
};

// What an error over there says of the registry must not be taken for this one.
template <typename Read>
auto read_there(const std::string& cluster, const Read& read) {
  try {
    return read();
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("cluster {}: {}", escaped_name(cluster), error.what()),
                     fmt::format("{} Say --cluster {} with it.", error.hint(), cluster));
  }
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

// The server that runs there, and its database: two names of it give the same.
std::string identity_of(SiteSession& there, pq::Deadline deadline) {
  std::string identity;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT s.system_identifier || '/' || pg_catalog.date_part('epoch', "
              "pg_catalog.pg_postmaster_start_time()) || '/' || d.oid "
              "FROM pg_catalog.pg_control_system() s CROSS JOIN pg_catalog.pg_database d "
              "WHERE d.datname = pg_catalog.current_database()",
       .on_row = [&identity](const pq::Row& row) { identity = row.text(0); }});
  pq::run_transaction(there.pipeline(), std::move(messages), pq::Access::read_only, deadline);
  return identity;
}

/// Names of clusters must mean databases of their own, or each tenant would be worked on twice.
class Distinct {
 public:
  void add(const std::string& cluster, const Part& part) {
    const auto [same, is_new] = by_identity_.emplace(part.identity, cluster);
    if (!is_new)
      refuse(fmt::format("clusters {} and {} are one database", same->second, cluster));
    for (const RegisteredTenant& tenant : part.tenants) {
      const auto [other, is_first] = by_id_.emplace(tenant.id, cluster);
      if (!is_first)
        refuse(fmt::format("clusters {} and {} both have tenant {}: one is a copy of the other",
                           other->second, cluster, tenant.slug));
    }
  }

 private:
  [[noreturn]] static void refuse(const std::string& what) {
    throw UsageError(what,
                     "Look at their connection strings; tenantctl registry leave parts from "
                     "one of them.");
  }

  std::map<std::string, std::string> by_identity_;
  std::unordered_map<std::string, std::string> by_id_;
};

}  // namespace

std::string JoinedFleet::Place::name() const { return main_site(cluster).name_of(there.schema); }

std::vector<RegisteredTenant> tenants_in(const Context& context, SiteSession& there,
                                         const JoinedCluster& cluster) {
  const Settings& settings = context.settings;
  std::vector<RegisteredTenant> tenants = read_there(cluster.name, [&] {
    TenantRegistry registry(there.pipeline(), settings.owners, settings.answer_timeout);
    if (!registry.is_installed()) {
      throw UsageError("there is no registry in this database",
                       "tenantctl registry init makes it.");
    }
    return registry.all();
  });
  if (JoinedClusters(there.pipeline(), settings.owners, settings.answer_timeout).is_here(cluster)) {
    throw UsageError(fmt::format("cluster {} is this very database, or a copy of it",
                                 escaped_name(cluster.name)),
                     "Look at its connection string; tenantctl registry leave parts the two.");
  }
  std::erase_if(tenants, [](const RegisteredTenant& tenant) { return !tenant.cluster.empty(); });
  for (RegisteredTenant& tenant : tenants)
    tenant.cluster = cluster.name;
  return tenants;
}

JoinedFleet read_joined(const Context& context, Session& session,
                        const std::vector<JoinedCluster>& clusters, const JoinedFleet& before) {
  JoinedFleet fleet{.tenants = {}, .places = {}, .unreached = before.unreached};
  std::vector<JoinedCluster> asked;
  std::vector<pq::ConnectOptions> sites;
  for (const JoinedCluster& cluster : clusters) {
    if (fleet.unreached.contains(cluster.name))
      continue;
    asked.push_back(cluster);
    sites.push_back(session.connect_options(main_site(cluster.name)));
  }
  std::vector<Part> parts(asked.size());
  const auto problems =
      visit_sites(sites, connections_for(context), [&](std::size_t i, SiteSession& there) {
        parts[i].identity = identity_of(there, pq::Clock::now() + context.settings.answer_timeout);
        parts[i].tenants = tenants_in(context, there, asked[i]);
        parts[i].places = places_in(context, there, asked[i].name);
      });
  Distinct distinct;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (problems[i].empty()) {
      distinct.add(asked[i].name, parts[i]);
      std::ranges::move(parts[i].tenants, std::back_inserter(fleet.tenants));
      std::ranges::move(parts[i].places, std::back_inserter(fleet.places));
      continue;
    }
    fleet.unreached.emplace(asked[i].name, problems[i]);
    warn(context, fmt::format("cluster {}: {}; its tenants are told as they were read last",
                              asked[i].name, problems[i]));
  }
  if (!fleet.unreached.empty()) {
    for (RegisteredTenant& tenant : joined_clusters(context, session).tenants()) {
      if (fleet.unreached.contains(tenant.cluster))
        fleet.tenants.push_back(std::move(tenant));
    }
  }
  return fleet;
}

ClusterSync sync_joined(const Context& context, Session& session, const JoinedCluster& cluster) {
  SiteSession there(session.connect_options(main_site(cluster.name)));
  const std::vector<RegisteredTenant> tenants = tenants_in(context, there, cluster);
  return {.cluster = cluster.name,
          .tenants = tenants.size(),
          .synced = joined_clusters(context, session).sync(cluster.name, tenants)};
}

}  // namespace tenantctl::cli
