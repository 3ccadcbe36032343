#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/session.h"
#include "rollout/report.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What the command line says about the roles as which tenants' sessions work.
struct RuntimeRoleOptions {
  std::string runtime_role;          ///< a role, or own_role for one each; empty: none
  std::vector<std::string> members;  ///< of tenants' own roles

  static constexpr std::string_view own_role = "per-tenant";
  bool has_own_roles() const { return runtime_role == own_role; }
};

/// What it says about tenants that are to be made; slug and name of one only.
struct NewcomerOptions : RuntimeRoleOptions {
  std::string slug;  ///< empty: the schema's name
  std::string name;  ///< empty: the schema's name
  TenantTraits traits;
};

/// --runtime-role, --runtime-member.
void describe_runtime_roles(CLI::App& command, RuntimeRoleOptions& options);
/// The same, and --slug, --name, --tier, --metadata.
void describe_newcomer(CLI::App& command, NewcomerOptions& options);

/// Throws UsageError for members of nothing, before any connection is made.
void check_runtime_roles(const RuntimeRoleOptions& options);

/// Throws UsageError for what no registry would take, before any connection is made.
void check_newcomer(const NewcomerOptions& options, std::size_t names);

/// The role as which the sessions of a schema's tenant work; empty: none.
using RoleOf = std::function<std::string(const std::string& schema)>;

/// Gives each schema of the report that stands what its role needs there, and makes the role first
/// if it is to be its own. A schema for which that is not possible has failed. Never throws.
void grant_roles(const Context& context, Session& session, const RuntimeRoleOptions& options,
                 const RoleOf& role_of, Report& report);
/// Removes the own roles of those that are gone again. Never throws.
void drop_roles(const Context& context, Session& session, const RuntimeRoleOptions& options,
                const RoleOf& role_of, const Report& report);

/// Tenants on their way into the registry: provisioning before anything is made, ready when all of
/// a tenant stands, without a row where nothing stands. What a killed run left behind is taken over
/// by the next that makes the same tenant. Does nothing where there is no registry.
class Registration {
 public:
  Registration(const Context& context, const NewcomerOptions& options)
      : context_(context), options_(options) {}

  /// Reads who of the schemas is registered. Throws UsageError for somebody else's slug or schema,
  /// and for options that only a registry has a place for.
  void read(Session& session, const Fleet& fleet, const std::vector<std::uint32_t>& selected);
  /// Registers them as provisioning.
  void begin(Session& session);

  /// A run that was killed began to make the schema.
  bool is_unfinished(std::string_view schema) const;
  bool has_unfinished() const { return !unfinished_.empty(); }

  /// Gives each tenant that stands what its runtime role needs; a tenant for which that is not
  /// possible has failed. Never throws.
  void grant(Session& session, Report& report);
  /// Removes the own roles of tenants that are gone again.
  void drop_roles(Session& session, const Report& report);

  /// Ready is what stands; whose schema is not there is forgotten. Never throws: a tenant that
  /// cannot be registered as ready has failed.
  void end(Session& session, Report& report);
  /// The command ends with an error: as far as it can be done.
  void abandon(Session& session);

 private:
  void refuse_options() const;
  void read_roles(Session& session);
  const NewTenant* find(std::string_view schema) const;
  std::string role_of(const std::string& schema) const;
  void take_over(const RegisteredTenant& tenant);
  std::string slug_of(const std::string& schema) const;
  void forget_missing(Session& session);

  const Context& context_;
  const NewcomerOptions& options_;
  bool installed_ = false;
  bool begun_ = false;
  std::vector<NewTenant> tenants_;
  std::vector<std::string> unfinished_;  ///< schemas, sorted
};

}  // namespace tenantctl::cli
