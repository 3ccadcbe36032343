#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"
#include "tenant/tenant_registry.h"

namespace tenantctl {

/// How the gate is to be: what revisions see behind the tenant's schema, so that the application
/// sees the same, and who may use it.
struct GateOptions {
  std::string version_table = "tenantctl_version";
  std::vector<std::string> path_behind = {};    ///< schemas behind the tenant's, in this order
  std::vector<std::string> runtime_roles = {};  ///< may enter from now on, besides those that may
  std::vector<std::string> claim_roles = {};    ///< may claim tenants of the pool from now on
  std::optional<std::string> admin_role = {};   ///< may look across tenants; nothing: as it is
};

/// A role that can do something with tenants, by whatever way.
struct GateRole {
  std::string name;
  bool may_log_in = false;
  bool may_enter = false;
  bool may_claim = false;    ///< tenants of the pool
  std::string looks_across;  ///< why it may look across tenants; empty: it may not
};

/// The gate as it stands.
struct GateState {
  int version = 0;
  std::string version_table;
  std::string path_behind;  ///< what follows the tenant's schema in the search_path
  std::string admin_role;   ///< empty: none
  std::vector<GateRole> roles;
};

/// The end of a search_path: these schemas, then the temporary one.
std::string path_text(const std::vector<std::string>& schemas);

/// Whether defaults or policies of the schema's tables call the gate: then each row says whose it
/// is. Throws ServerError, ConnectionLost.
bool asks_the_gate(pq::Pipeline& pipeline, const std::string& schema, pq::Deadline deadline);

/// The functions in the database by which an application enters a tenant (GateComponent says
/// which): installed beside the registry, which tells them who is there.
///
/// Every function throws what Components throws.
class Gate {
 public:
  /// `patience` with an answer.
  Gate(pq::Pipeline& pipeline, std::vector<std::string> owners, std::chrono::milliseconds patience)
      : components_(pipeline, std::move(owners), patience) {}

  /// Makes the gate or takes it to this version, then writes the options. A role to look across
  /// is made, without login, if there is none of that name. Throws UsageError where there is no
  /// registry, and for a runtime role that does not exist.
  Installed install(const GateOptions& options);

  /// Nothing where there is no gate.
  std::optional<GateState> show();

  /// Takes a schema of the pool for a tenant that is ready then, in one round trip, if the next in
  /// turn at `minimum_revision` or behind it works as one of `roles` (empty text: as none). False
  /// where the pool has none. Throws UsageError for a slug or a schema that is taken, or metadata
  /// that is no JSON object.
  bool claim(const NewTenant& tenant, const TenantTraits& traits,
             const std::string& minimum_revision, const std::vector<std::string>& roles);
  /// The same as part of somebody else's transaction; the tenant's id arrives in `id`. What the
  /// server says against it is for explain_claim().
  std::vector<pq::Message> claim_along(const NewTenant& tenant, const TenantTraits& traits,
                                       const std::string& minimum_revision,
                                       const std::vector<std::string>& roles, std::string& id);
  /// Returns where the pool has none; throws for everything else.
  static void explain_claim(const pq::ServerError& error, const NewTenant& tenant);

 private:
  Components components_;
};

}  // namespace tenantctl
