#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "catalog/audit_input.h"
#include "catalog/role_graph.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// A schema that holds tenants' objects: a tenant's own, or a home of shared rows.
struct AuditedSchema {
  Oid oid = 0;
  std::string name;
  Oid owner = 0;
  bool is_rows = false;
  bool has_roles = false;         ///< who may work in it is known for all its tenants
  std::unordered_set<Oid> roles;  ///< its tenants' own
};

/// What all rules ask with, resolved once: names to oids, roles to tenants. Names that no longer
/// exist are absent here; rule A1 tells of them.
class AuditFacts {
 public:
  /// Throws ServerError, ConnectionLost.
  static AuditFacts read(pq::Pipeline& pipeline, const AuditInput& input, pq::Deadline deadline);

  const AuditInput& input() const { return *input_; }
  const RoleGraph& roles() const { return roles_; }
  const std::unordered_map<Oid, AuditedSchema>& schemas() const { return schemas_; }
  const AuditedSchema* schema(Oid oid) const;
  bool has_schema(const std::string& name) const { return namespaces_.contains(name); }
  bool has_database(const std::string& name) const { return databases_.contains(name); }
  const std::string& name_of_schema(Oid oid) const;

  /// Lives in this database, as far as the registry says.
  bool is_here(const AuditedTenant& tenant) const;
  /// Tenants of this database whose runtime role that is.
  const std::vector<const AuditedTenant*>& tenants_of(Oid role) const;
  bool is_tenant_role(Oid role) const { return tenants_of_role_.contains(role); }
  std::vector<Oid> tenant_roles() const;
  /// Tenants' roles that hold what `grantee` holds, but for those whose own that schema is; all
  /// foreign ones if `schema` is nullptr.
  std::vector<Oid> outsiders(Oid grantee, const AuditedSchema* schema) const;
  /// The current role, those trusted by name, and for pg_database_owner the database's owner.
  bool is_trusted_owner(Oid role) const { return trusted_.contains(role); }

  /// As values of oid[] parameters: tenants' schemas and homes; the homes of rows alone; the pairs
  /// (schema, its own role), in two arrays; and the schemas in which revisions resolve names.
  const std::string& schema_oids() const { return schema_oids_; }
  const std::string& rows_oids() const { return rows_oids_; }
  const std::string& own_schemas() const { return own_schemas_; }
  const std::string& own_roles() const { return own_roles_; }
  const std::string& path_oids() const { return path_oids_; }

 private:
  void resolve();
  void add_schema(const std::string& name, bool is_rows, const AuditedTenant* tenant);
  void trust(Oid current, Oid database_owner);
  void write_arrays();

  const AuditInput* input_ = nullptr;
  RoleGraph roles_;
  std::string database_;
  std::unordered_map<std::string, Oid> namespaces_;
  std::unordered_map<Oid, std::string> names_;
  std::unordered_map<Oid, Oid> owners_;
  std::unordered_set<std::string> databases_;
  std::unordered_map<Oid, AuditedSchema> schemas_;
  std::unordered_map<Oid, std::vector<const AuditedTenant*>> tenants_of_role_;
  std::unordered_set<Oid> trusted_;
  std::string schema_oids_, rows_oids_, own_schemas_, own_roles_, path_oids_;
};

/// `{1,2,3}`.
std::string oid_array(const std::vector<Oid>& oids);

}  // namespace tenantctl
