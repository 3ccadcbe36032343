#pragma once

#include <string>
#include <vector>

namespace tenantctl {

/// A tenant as the audit needs it: of the registry, or one that only its version table shows.
struct AuditedTenant {
  std::string id;         ///< empty: not registered
  std::string name;       ///< the slug, or the schema's name
  std::string isolation;  ///< schema, database, rows
  std::string schema;
  std::string database;    ///< empty: this one
  std::string cluster;     ///< empty: this one
  std::string state;       ///< of the registry
  std::string role;        ///< as which its sessions work; empty: not known
  bool is_marked = false;  ///< its schema has a version table
  bool is_pooled = false;  ///< nobody's yet: known to the registry, but not as a tenant

  bool is_registered() const { return !id.empty(); }
  bool is_known() const { return is_registered() || is_pooled; }
};

/// What is audited, and what counts as trusted.
struct AuditInput {
  bool has_registry = false;
  std::vector<AuditedTenant> tenants;
  std::string shared_schema;
  std::vector<std::string> path_extra;    ///< schemas behind the tenant's in revisions' search_path
  std::vector<std::string> rows_schemas;  ///< homes of shared rows besides the registered ones
  std::vector<std::string> owners;        ///< who may own schemas besides the current role
  std::string tenant_column = "tenant_id";
  std::string version_table = "tenantctl_version";
};

}  // namespace tenantctl
