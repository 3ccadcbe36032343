#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <tuple>

#include "cli/commands.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/registry.h"
#include "cli/tenants.h"
#include "output/tenant_writer.h"
#include "pq/transaction.h"
#include "tenant/databases.h"
#include "tenant/tenant_lock.h"

namespace tenantctl::cli {
namespace {

// Tenants by their marks: what tenantctl itself upgrades.
std::vector<std::string> tenants_by_mark(Session& session, const Context& context) {
  std::vector<std::string> names;
  const Fleet fleet = session.fleet();
  const std::vector<TenantPlace> places = tenant_places(context, session).all();
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::ours && found.schema != context.settings.shared_schema &&
        std::ranges::count(places, found.schema, &TenantPlace::schema) == 0 &&
        Mark::parse(fleet.comment_of(found)))
      names.push_back(found.schema);
  }
  return names;
}

void adopt(Session& session, const Context& context, RegistryInit& result) {
  std::vector<std::string> wanted = tenants_by_mark(session, context);
  const auto no_slug =
      std::stable_partition(wanted.begin(), wanted.end(), &TenantRegistry::is_slug);
  result.skipped.assign(no_slug, wanted.end());
  wanted.erase(no_slug, wanted.end());
  TenantRegistry registry = tenant_registry(context, session);
  result.adopted = registry.adopt(wanted);
  const std::vector<std::string> registered = registry.registered(wanted);
  std::ranges::set_difference(registered, result.adopted, std::back_inserter(result.known));
  // Another tenant bears the name.
  std::ranges::set_difference(wanted, registered, std::back_inserter(result.skipped));
}

ExitCode run_init(const Context& context, bool adopts) {
  Session session(context);
  RegistryInit result;
  result.installed = tenant_registry(context, session).install();
  result.adopts = adopts;
  if (adopts)
    adopt(session, context, result);
  write_registry_init(*context.out, *context.err, context.settings.output, result);
  return result.skipped.empty() ? ExitCode::ok : ExitCode::failed;
}

bool is_home_of(const TenantPlace& place, const RegisteredTenant& tenant) {
  return place.is_home() && place.is_ready && place.schema == tenant.schema;
}

// Homes and the pool: what the registry names must stand.
void compare_places(const std::vector<TenantPlace>& places, const Fleet& fleet,
                    RegistryFindings& findings) {
  for (const TenantPlace& place : places) {
    const FoundSchema* found = fleet.find(place.schema);
    if (found == nullptr || found->state != FoundSchema::State::ours || !place.is_ready)
      (place.is_home() ? findings.broken_homes : findings.broken_pool).push_back(place.schema);
  }
}

RegistryFindings compare(const std::vector<RegisteredTenant>& tenants,
                         const std::vector<TenantPlace>& places, const Fleet& fleet,
                         const std::string& shared_schema) {
  RegistryFindings findings;
  std::vector<std::string> known{shared_schema};
  for (const TenantPlace& place : places)
    known.push_back(place.schema);
  compare_places(places, fleet, findings);
  for (const RegisteredTenant& tenant : tenants) {
    const bool is_unfinished = (tenant.state == "provisioning" && !tenant.is_being_made) ||
                               (tenant.state == "deleting" && !tenant.is_here() && !tenant.is_kept);
    if (!tenant.is_here() && is_unfinished)
      findings.unfinished.push_back(tenant.slug);
    const bool has_home = std::ranges::any_of(
        places, [&tenant](const TenantPlace& place) { return is_home_of(place, tenant); });
    if (tenant.has_rows() && !has_home)
      findings.homeless.push_back(tenant.slug);
    if (!tenant.is_here())
      continue;
    known.push_back(tenant.schema);
    const FoundSchema* found = fleet.find(tenant.schema);
    if (is_unfinished) {
      findings.unfinished.push_back(tenant.slug);
    } else if (tenant.state != "provisioning" && found == nullptr) {
      findings.missing.push_back(tenant.slug);
    } else if (found != nullptr && found->state != FoundSchema::State::ours) {
      findings.unversioned.push_back(tenant.slug);
    }
  }
  std::ranges::sort(known);
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::ours && !std::ranges::binary_search(known, found.schema))
      findings.unregistered.push_back(found.schema);
  }
  return findings;
}

// A schema without a version table is not in the fleet, but it may be there all the same.
void tell_bare_apart(Session& session, const std::vector<RegisteredTenant>& tenants,
                     RegistryFindings& findings) {
  std::vector<std::string> schemas;
  for (const RegisteredTenant& tenant : tenants) {
    if (std::ranges::binary_search(findings.missing, tenant.slug))
      schemas.push_back(tenant.schema);
  }
  const Fleet there = session.schemas(schemas);
  for (const RegisteredTenant& tenant : tenants) {
    const FoundSchema* found = there.find(tenant.schema);
    const auto at = std::ranges::find(findings.missing, tenant.slug);
    if (at == findings.missing.end() || found == nullptr ||
        found->state == FoundSchema::State::missing)
      continue;
    // A dropped tenant's schema is kept out of the fleet.
    if (tenant.state != "deleting")
      findings.unversioned.push_back(tenant.slug);
    findings.missing.erase(at);
  }
  std::ranges::sort(findings.unversioned);
}

// Of tenants with a database on this server only that it is there: status looks into it.
void find_databases(Session& session, const Context& context,
                    const std::vector<RegisteredTenant>& tenants, RegistryFindings& findings) {
  std::vector<std::string> names;
  const auto is_meant = [](const RegisteredTenant& tenant) {
    return tenant.is_elsewhere() && tenant.cluster.empty() && tenant.state != "provisioning" &&
           (tenant.state != "deleting" || tenant.is_kept);
  };
  for (const RegisteredTenant& tenant : tenants) {
    if (is_meant(tenant))
      names.push_back(tenant.database);
  }
  Databases databases(session.pipeline(), {}, context.settings.answer_timeout);
  const std::vector<FoundDatabase> found = databases.find(names);
  for (const RegisteredTenant& tenant : tenants) {
    if (is_meant(tenant) && std::ranges::count(found, tenant.database, &FoundDatabase::name) == 0)
      findings.missing.push_back(tenant.slug);
  }
  std::ranges::sort(findings.missing);
}

// Slugs of those whom no run holds at this moment.
std::vector<std::string> free_tenants(Session& session,
                                      const std::map<std::string, std::string>& by_id) {
  const std::unique_ptr<bool[]> is_free = std::make_unique<bool[]>(by_id.size());
  std::vector<pq::Message> messages;
  for (const auto& [id, slug] : by_id)
    messages.push_back(TenantLock::probe(id, is_free[messages.size()]));
  pq::run_transaction(session.pipeline(), std::move(messages), pq::Access::read_only,
                      session.deadline());
  std::vector<std::string> slugs;
  std::size_t i = 0;
  for (const auto& [id, slug] : by_id) {
    if (is_free[i++])
      slugs.push_back(slug);
  }
  return slugs;
}

// A run that moves a tenant holds its lock as long as it lives.
void judge_moves(const Context& context, Session& session,
                 const std::vector<RegisteredTenant>& tenants, std::chrono::milliseconds longest,
                 RegistryFindings& findings) {
  std::map<std::string, std::string> under_way;
  for (const RegisteredTenant& tenant : tenants) {
    if (tenant.state == "moving")
      under_way.emplace(tenant.id, tenant.slug);
  }
  for (TenantMove& move : unended_moves(context, session)) {
    if (move.stage != TenantMove::Stage::moved) {
      under_way.emplace(move.tenant, move.slug);
      continue;
    }
    if (std::chrono::seconds(move.age) > longest)
      findings.kept_too_long.push_back(move.slug);
    findings.kept.push_back(std::move(move));
  }
  std::ranges::move(free_tenants(session, under_way), std::back_inserter(findings.unfinished));
  std::ranges::sort(findings.unfinished);
  std::ranges::sort(findings.kept_too_long);
  std::ranges::sort(findings.kept, {}, &TenantMove::slug);
}

bool are_same(const RegisteredTenant& a, const RegisteredTenant& b) {
  const auto facts = [](const RegisteredTenant& tenant) {
    return std::tie(tenant.slug, tenant.name, tenant.tier, tenant.isolation, tenant.schema,
                    tenant.database, tenant.cluster, tenant.state, tenant.runtime_role,
                    tenant.metadata, tenant.state_since, tenant.created_at);
  };
  return facts(a) == facts(b);
}

// What is kept in mind of clusters that have joined, against what they say.
void compare_joined(const Context& context, Session& session, RegistryFindings& findings) {
  JoinedClusters clusters = joined_clusters(context, session);
  const JoinedFleet now = read_joined(context, session, clusters.all(), {});
  std::map<std::string, RegisteredTenant> known;
  for (RegisteredTenant& tenant : clusters.tenants())
    known.emplace(tenant.id, std::move(tenant));
  const auto name = [](const RegisteredTenant& tenant) {
    return tenant.cluster + ":" + tenant.slug;
  };
  for (const RegisteredTenant& tenant : now.tenants) {
    const auto at = known.find(tenant.id);
    if (at == known.end() || !are_same(at->second, tenant))
      findings.outdated.push_back(name(tenant));
    if (at != known.end())
      known.erase(at);
  }
  for (const auto& [cluster, why] : now.problems) {
    findings.unreached.push_back(cluster);
    warn(context, fmt::format("cluster {}: {}", cluster, why));
    std::erase_if(known,
                  [&cluster = cluster](const auto& one) { return one.second.cluster == cluster; });
  }
  // What a run has reserved is nobody yet.
  std::erase_if(known, [](const auto& one) { return one.second.schema.empty(); });
  for (const auto& [id, gone] : known)
    findings.outdated.push_back(name(gone));
  std::ranges::sort(findings.outdated);
}

ExitCode run_check(const Context& context, std::chrono::milliseconds longest) {
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  if (!registry.is_installed()) {
    throw UsageError("there is no registry in this database",
                     "tenantctl registry init --adopt makes it and registers who is there.");
  }
  const std::vector<RegisteredTenant> tenants = registry.all();
  RegistryFindings findings = compare(tenants, tenant_places(context, session).all(),
                                      session.fleet(), context.settings.shared_schema);
  tell_bare_apart(session, tenants, findings);
  find_databases(session, context, tenants, findings);
  judge_moves(context, session, tenants, longest, findings);
  compare_joined(context, session, findings);
  write_registry_findings(*context.out, context.settings.output, findings);
  return findings.is_empty() ? ExitCode::ok : ExitCode::findings;
}

void add_check_command(CLI::App& registry, Context& context) {
  CLI::App* command = registry.add_subcommand("check", "exit 4 unless registry and schemas agree");
  auto longest = std::make_shared<std::chrono::milliseconds>(std::chrono::days(30));
  add_duration(*command, "--keep-moves", *longest,
               "how long a tenant that has moved may keep what it left without a finding");
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl registry check --keep-moves 7d");
  command->callback([&context, longest] {
    context.run = [&context, longest] { return run_check(context, *longest); };
  });
}

}  // namespace

void add_registry(CLI::App& app, Context& context) {
  CLI::App* registry = app.add_subcommand("registry", "who the tenants are, kept in the database");
  registry->require_subcommand(1);
  add_example(*registry, "tenantctl registry init --adopt");
  CLI::App* command =
      registry->add_subcommand("init", "make the registry, or take it to this version");
  auto adopts = std::make_shared<bool>(false);
  add_switch(*command, "--adopt", *adopts, "register the tenants that are there, as ready");
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl registry init --adopt");
  add_check_command(*registry, context);
  add_registry_clusters(*registry, context);
  command->callback([&context, adopts] {
    context.run = [&context, adopts] { return run_init(context, *adopts); };
  });
}

}  // namespace tenantctl::cli
