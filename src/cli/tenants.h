#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/registration.h"
#include "cli/seeds.h"
#include "cli/session.h"
#include "tenant/gate.h"
#include "tenant/joined_clusters.h"
#include "tenant/runtime_roles.h"
#include "tenant/tenant_places.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// The registry of the session's database, installed or not.
inline TenantRegistry tenant_registry(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout,
          context.reserve};
}

/// The roles as which its tenants' sessions work.
inline RuntimeRoles runtime_roles(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.version_table, context.settings.answer_timeout};
}

/// The same for a session with another database, or another server, of tenants of that registry.
inline RuntimeRoles runtime_roles_there(const Context& context, Session& session,
                                        pq::Pipeline& there) {
  return {there, context.settings.version_table, context.settings.answer_timeout,
          runtime_roles(context, session).database()};
}

/// Its homes of shared rows, and its pool.
inline TenantPlaces tenant_places(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

/// Its gate, installed or not.
inline Gate tenant_gate(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

/// Clusters with a registry of their own that have joined this one.
inline JoinedClusters joined_clusters(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

/// `names`, and the slugs that no tenant here may be given, because somebody on a cluster has them.
inline std::vector<std::string> with_slugs_elsewhere(const Context& context, Session& session,
                                                     std::vector<std::string> names) {
  for (const RegisteredTenant& tenant : joined_clusters(context, session).tenants())
    names.push_back(tenant.slug);
  if (context.slugs_elsewhere) {
    for (std::string& slug : context.slugs_elsewhere())
      names.push_back(std::move(slug));
  }
  return names;
}

/// Who is called so, by slug, or else by schema or `database/schema`. Views tenants of the
/// caller's.
class TenantsByName {
 public:
  explicit TenantsByName(const std::vector<RegisteredTenant>& tenants) {
    for (const RegisteredTenant& tenant : tenants) {
      by_slug_.emplace(tenant.slug, &tenant);
      if (!tenant.shares_rows())
        by_place_.emplace(tenant.place(), &tenant);
    }
  }

  /// nullptr if nobody is.
  const RegisteredTenant* find(const std::string& name) const {
    for (const auto* names : {&by_slug_, &by_place_}) {
      if (const auto at = names->find(name); at != names->end())
        return at->second;
    }
    return nullptr;
  }

 private:
  std::unordered_map<std::string, const RegisteredTenant*> by_slug_;
  std::unordered_map<std::string, const RegisteredTenant*> by_place_;
};

/// One of few.
inline const RegisteredTenant* find_tenant(const std::vector<RegisteredTenant>& tenants,
                                           const std::string& name) {
  return TenantsByName(tenants).find(name);
}

/// Takes away again what was made of tenants that failed: a tenant is whole or not there.
void undo_failed_tenants(const Context& context, Session& session, Report& report);

/// Has a tenant of the pool, at the folder's head, become this one, and seeds it in the same
/// transaction. Nothing where the pool has none.
struct Claim {
  const std::string& schema;
  const NewcomerOptions& options;
};
std::optional<ExitCode> claim_tenant(const Context& context, Session& session,
                                     const Folders& folders, const SeedWork& work,
                                     const Claim& claim);

/// What most commands below `tenant` take: output, folder, connection, --quiet.
void describe_tenants(CLI::App& command, Context& context);

/// Below `tenant`; the last one is suspend, resume and archive.
void add_tenant_create(CLI::App& tenant, Context& context);
void add_tenant_list(CLI::App& tenant, Context& context);
void add_tenant_show(CLI::App& tenant, Context& context);
void add_tenant_rename(CLI::App& tenant, Context& context);
void add_tenant_drop(CLI::App& tenant, Context& context);
void add_tenant_undrop(CLI::App& tenant, Context& context);
void add_tenant_purge(CLI::App& tenant, Context& context);
void add_tenant_export(CLI::App& tenant, Context& context);
void add_tenant_import(CLI::App& tenant, Context& context);
void add_tenant_clone(CLI::App& tenant, Context& context);
void add_tenant_move(CLI::App& tenant, Context& context);
void add_tenant_pool(CLI::App& tenant, Context& context);
void add_tenant_seed(CLI::App& tenant, Context& context);
void add_tenant_states(CLI::App& tenant, Context& context);

}  // namespace tenantctl::cli
