#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include "base/text.h"
#include "cli/session.h"
#include "cli/tenants.h"

// Which tenants there are, and which of them a command is about.
namespace tenantctl::cli {
namespace {

bool is_unfinished(const RegisteredTenant& tenant) {
  return tenant.state == "provisioning" || tenant.state == "deleting" || tenant.state == "moving";
}

void refuse_unfinished(const RegisteredTenant& tenant) {
  if (!is_unfinished(tenant))
    return;
  const std::string verb = tenant.state == "deleting" ? "purge"
                           : tenant.state == "moving" ? "move"
                                                      : "create";
  throw UsageError(fmt::format("tenant {} is {}", tenant.slug, tenant.state),
                   tenant.is_kept
                       ? fmt::format("tenantctl tenant undrop {} brings it back.", tenant.slug)
                       : fmt::format("tenantctl tenant {} {} finishes it.", verb, tenant.slug));
}

// As the fleet has them: those of shared rows by their home, which is nobody's.
std::vector<RegisteredTenant> in_fleet(const JoinedFleet& joined) {
  std::vector<RegisteredTenant> away;
  std::ranges::copy_if(joined.tenants, std::back_inserter(away),
                       std::not_fn(&RegisteredTenant::shares_rows));
  for (const JoinedFleet::Place& place : joined.places) {
    if (!place.there.is_ready)
      continue;
    RegisteredTenant nobody;
    nobody.schema = place.there.schema;
    nobody.cluster = place.cluster;
    away.push_back(std::move(nobody));
  }
  return away;
}

// A slug that two have is nobody's.
void refuse_ambiguous(const std::vector<RegisteredTenant>& tenants,
                      const std::vector<std::string>& names) {
  std::map<std::string_view, std::string> places;
  for (const RegisteredTenant& tenant : tenants) {
    const auto [at, is_first] = places.emplace(tenant.slug, tenant.place());
    const bool is_asked = std::ranges::find(names, tenant.slug) != names.end();
    if (!is_first && is_asked) {
      throw UsageError(fmt::format("several tenants are called {}: {}, {}", tenant.slug, at->second,
                                   tenant.place()),
                       "Name one by its place, and give the other another slug.");
    }
  }
}

}  // namespace

Fleet Session::fleet() {
  return read_fleet(*pipeline_, fleet_query(context_.settings), context_.settings.shared_schema,
                    deadline());
}

Fleet Session::schemas(const std::vector<std::string>& names) {
  return read_schemas(*pipeline_, fleet_query(context_.settings), names, deadline());
}

Fleet Session::everywhere() {
  Fleet all = fleet();
  if (!all.has_registry)
    return all;
  add_elsewhere(all);
  return all;
}

Fleet Session::own() {
  Fleet all = fleet();
  if (all.has_registry)
    add_away(all, tenant_registry(context_, *this).elsewhere().tenants);
  return all;
}

Fleet Session::elsewhere() {
  Fleet away;
  add_elsewhere(away);
  return away;
}

Fleet Session::shared_named(const std::vector<std::string>& names) {
  const std::string& shared_schema = context_.settings.shared_schema;
  const auto is_named = [&names](const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  Fleet shared = schemas({shared_schema});
  if (!is_named(shared_schema))
    shared.schemas.clear();
  if (!shared.has_registry)
    return shared;
  for (const Site& site : elsewhere().sites) {
    if (is_named(site.name_of(shared_schema)))
      shared.add_away(site, shared_schema);
  }
  shared.sort();
  return shared;
}

void Session::add_elsewhere(Fleet& all) {
  Elsewhere away = tenant_registry(context_, *this).elsewhere();
  if (!away.joined.empty()) {
    joined_ = read_joined(context_, *this, away.joined, joined_);
    std::ranges::move(in_fleet(joined_), std::back_inserter(away.tenants));
    std::ranges::sort(away.tenants, {}, &RegisteredTenant::place);
  }
  add_away(all, away.tenants);
}

void Session::add_away(Fleet& all, const std::vector<RegisteredTenant>& tenants) {
  std::size_t unfinished = 0;
  for (const RegisteredTenant& tenant : tenants) {
    if (tenant.is_kept)
      continue;
    if (is_unfinished(tenant)) {
      ++unfinished;
    } else {
      all.add_away(tenant.site(), tenant.schema, tenant.slug);
    }
  }
  all.sort();
  if (unfinished > 0) {
    warn(context_, fmt::format("{} in other databases left out: provisioning, deleting or moving; "
                               "registry check names them",
                               counted(unfinished, "tenant")));
  }
}

Fleet Session::named(const std::vector<std::string>& names) {
  Fleet found = schemas(names);
  std::vector<std::string> missing;
  for (const FoundSchema& one : found.schemas) {
    if (one.state == FoundSchema::State::missing)
      missing.push_back(one.schema);
  }
  if (!found.has_registry || missing.empty())
    return found;
  std::vector<RegisteredTenant> tenants = tenant_registry(context_, *this).find(missing);
  std::ranges::move(find_joined(missing), std::back_inserter(tenants));
  refuse_ambiguous(tenants, missing);
  std::erase_if(tenants, std::not_fn(&RegisteredTenant::is_elsewhere));
  std::ranges::sort(tenants, {}, &RegisteredTenant::place);
  for (const RegisteredTenant& tenant : tenants) {
    refuse_unfinished(tenant);
    std::erase_if(found.schemas, [&tenant](const FoundSchema& one) {
      return one.schema == tenant.slug || one.schema == tenant.place();
    });
    found.add_away(tenant.site(), tenant.schema, tenant.slug);
  }
  // Of these is told that they could not be read.
  const auto unread = this->unread({.schemas = names});
  std::erase_if(found.schemas,
                [&unread](const FoundSchema& one) { return unread.contains(one.schema); });
  found.sort();
  return found;
}

std::vector<RegisteredTenant> Session::find_joined(const std::vector<std::string>& names) {
  const std::vector<JoinedCluster> clusters = joined_clusters(context_, *this).all();
  if (clusters.empty())
    return {};
  joined_ = read_joined(context_, *this, clusters, joined_);
  refuse_unread(names);
  const std::set<std::string_view> wanted(names.begin(), names.end());
  std::vector<RegisteredTenant> found = in_fleet(joined_);
  std::erase_if(found, [&wanted](const RegisteredTenant& tenant) {
    return !wanted.contains(tenant.slug) && !wanted.contains(tenant.place());
  });
  return found;
}

void Session::refuse_unread(const std::vector<std::string>& names) {
  if (joined_.problems.empty())
    return;
  const std::set<std::string_view> wanted(names.begin(), names.end());
  for (const RegisteredTenant& tenant : joined_clusters(context_, *this).tenants()) {
    const auto problem = joined_.problems.find(tenant.cluster);
    if (problem == joined_.problems.end() ||
        (!wanted.contains(tenant.slug) && !wanted.contains(tenant.place())))
      continue;
    throw UnavailableError(fmt::format("tenant {} lives on cluster {}, which cannot be read: {}",
                                       tenant.slug, tenant.cluster, problem->second),
                           "Run the command again when it can.");
  }
}

std::map<std::string, std::string> Session::unread(Selection chosen) const {
  // Whom a pattern, a tier or a state would match there nobody knows.
  chosen.tenants.clear();
  std::map<std::string, std::string> left_out;
  for (const auto& [cluster, problem] : joined_.problems) {
    const std::string name = JoinedFleet::name_of_all(cluster);
    if (chosen.takes(name))
      left_out.emplace(name, problem);
  }
  return left_out;
}

std::vector<std::uint32_t> Session::select(const Fleet& fleet, const Selection& chosen) {
  refuse_unread(chosen.schemas);
  std::vector<std::string> unfinished;
  if (!context_.settings.only_failed.empty()) {
    RunLedger runs = ledger();
    const RunRecord run = runs.find(context_.settings.only_failed);
    unfinished = unfinished_schemas(run, runs.schemas(run.start.id), Scope::tenant);
    mark_unread_by(run.start.id, unfinished);
  }
  // Who matches where nobody could look is not known: that is told, and no mistake.
  const bool may_be_empty = chosen.schemas.empty() && !unread(chosen).empty();
  std::vector<std::uint32_t> selected =
      may_be_empty ? matching_tenants(fleet, chosen, context_.settings.shared_schema)
                   : select_tenants(fleet, chosen, context_.settings.shared_schema);
  filter(selected, fleet, chosen);
  if (selected.empty() && chosen.registry.asks_for_rows() && !may_be_empty) {
    throw UsageError("the selection matches no tenant", "tenantctl tenant list shows all.");
  }
  if (!context_.settings.only_failed.empty()) {
    std::erase_if(selected, [&](std::uint32_t i) {
      return !std::ranges::binary_search(unfinished, fleet.schemas[i].schema);
    });
  }
  return selected;
}

void Session::mark_unread_by(const std::string& run_id, const std::vector<std::string>& names) {
  for (const JoinedCluster& cluster : joined_clusters(context_, *this).all()) {
    if (std::ranges::find(names, JoinedFleet::name_of_all(cluster.name)) != names.end()) {
      joined_.problems.emplace(
          cluster.name, fmt::format("run {} could not read it, so that nobody knows what it left "
                                    "there: the command that it was goes over it",
                                    run_id));
    }
  }
}

std::vector<std::uint32_t> Session::match(const Fleet& fleet, const Selection& chosen) {
  auto selected = matching_tenants(fleet, chosen, context_.settings.shared_schema);
  filter(selected, fleet, chosen);
  return selected;
}

void Session::filter(std::vector<std::uint32_t>& selected, const Fleet& fleet,
                     const Selection& chosen) {
  if (chosen.registry.is_empty())
    return;
  TenantRegistry registry = tenant_registry(context_, *this);
  if (!registry.is_installed()) {
    throw UsageError(
        "there is no registry in this database: tenants have neither state, tier nor isolation",
        "tenantctl registry init --adopt makes it and registers who is there.");
  }
  RegisteredFleet registered{.tenants = registry.all(), .homes = {}};
  std::ranges::copy(joined_.tenants, std::back_inserter(registered.tenants));
  for (TenantPlace& place : tenant_places(context_, *this).all()) {
    if (place.is_home())
      registered.homes.push_back(std::move(place.schema));
  }
  for (const JoinedFleet::Place& place : joined_.places) {
    if (place.there.is_home())
      registered.homes.push_back(place.name());
  }
  keep_registered(selected, fleet, chosen.registry, registered);
}

}  // namespace tenantctl::cli
