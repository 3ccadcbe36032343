#include "catalog/audit_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"
#include "pq/transaction.h"

namespace tenantctl {

std::string oid_array(const std::vector<Oid>& oids) {
  return fmt::format("{{{}}}", fmt::join(oids, ","));
}

AuditFacts AuditFacts::read(pq::Pipeline& pipeline, const AuditInput& input,
                            pq::Deadline deadline) {
  AuditFacts facts;
  facts.input_ = &input;
  Oid current = 0;
  Oid database_owner = 0;
  std::vector<pq::Message> messages = facts.roles_.questions();
  messages.push_back({.sql = "SELECT n.oid, n.nspname, n.nspowner FROM pg_catalog.pg_namespace n",
                      .on_row = [&facts](const pq::Row& row) {
                        const auto oid = number_of<Oid>(row.text(0));
                        facts.namespaces_.emplace(row.text(1), oid);
                        facts.names_.emplace(oid, row.text(1));
                        facts.owners_.emplace(oid, number_of<Oid>(row.text(2)));
                      }});
  messages.push_back({.sql = "SELECT r.oid, d.datdba, d.datname FROM pg_catalog.pg_database d, "
                             "pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER "
                             "AND d.datname = pg_catalog.current_database()",
                      .on_row = [&](const pq::Row& row) {
                        current = number_of<Oid>(row.text(0));
                        database_owner = number_of<Oid>(row.text(1));
                        facts.database_ = row.text(2);
                      }});
  messages.push_back(
      {.sql = "SELECT d.datname FROM pg_catalog.pg_database d",
       .on_row = [&facts](const pq::Row& row) { facts.databases_.emplace(row.text(0)); }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  facts.trust(current, database_owner);
  facts.resolve();
  facts.write_arrays();
  return facts;
}

const AuditedSchema* AuditFacts::schema(Oid oid) const {
  const auto at = schemas_.find(oid);
  return at == schemas_.end() ? nullptr : &at->second;
}

const std::string& AuditFacts::name_of_schema(Oid oid) const {
  static const std::string gone = "(gone)";
  const auto at = names_.find(oid);
  return at == names_.end() ? gone : at->second;
}

bool AuditFacts::is_here(const AuditedTenant& tenant) const {
  return tenant.isolation != "database" && tenant.cluster.empty() &&
         (tenant.database.empty() || tenant.database == database_);
}

const std::vector<const AuditedTenant*>& AuditFacts::tenants_of(Oid role) const {
  static const std::vector<const AuditedTenant*> nobody;
  const auto at = tenants_of_role_.find(role);
  return at == tenants_of_role_.end() ? nobody : at->second;
}

std::vector<Oid> AuditFacts::tenant_roles() const {
  std::vector<Oid> roles;
  for (const auto& [role, tenants] : tenants_of_role_) {
    roles.push_back(role);
  }
  std::sort(roles.begin(), roles.end());
  return roles;
}

std::vector<Oid> AuditFacts::outsiders(Oid grantee, const AuditedSchema* schema) const {
  std::vector<Oid> reached;
  for (const Oid role : roles_.members_of(grantee)) {
    if (is_tenant_role(role) && (schema == nullptr || !schema->roles.contains(role))) {
      reached.push_back(role);
    }
  }
  return reached;
}

void AuditFacts::trust(Oid current, Oid database_owner) {
  trusted_.insert(current);
  for (const std::string& name : input_->owners) {
    if (const Role* role = roles_.find(name)) {
      trusted_.insert(role->oid);
    }
  }
  const Role* owner = roles_.find("pg_database_owner");
  if (owner != nullptr && trusted_.contains(database_owner)) {
    trusted_.insert(owner->oid);
  }
}

void AuditFacts::add_schema(const std::string& name, bool is_rows, const AuditedTenant* tenant) {
  const auto at = namespaces_.find(name);
  if (at == namespaces_.end()) {
    return;
  }
  const auto [place, is_new] = schemas_.try_emplace(at->second);
  AuditedSchema& schema = place->second;
  if (is_new) {
    schema = {.oid = at->second,
              .name = name,
              .owner = owners_.at(at->second),
              .is_rows = is_rows,
              .has_roles = true,
              .roles = {}};
  }
  schema.is_rows = schema.is_rows || is_rows;
  const Role* role = tenant == nullptr ? nullptr : roles_.find(tenant->role);
  if (role == nullptr) {
    schema.has_roles = false;
    return;
  }
  schema.roles.insert(role->oid);
}

void AuditFacts::resolve() {
  for (const std::string& name : input_->rows_schemas) {
    add_schema(name, true, nullptr);
  }
  for (const AuditedTenant& tenant : input_->tenants) {
    if (!is_here(tenant)) {
      continue;
    }
    add_schema(tenant.schema, tenant.isolation == "rows", &tenant);
    if (const Role* role = roles_.find(tenant.role)) {
      tenants_of_role_[role->oid].push_back(&tenant);
    }
  }
}

void AuditFacts::write_arrays() {
  std::vector<Oid> all;
  std::vector<Oid> rows;
  std::vector<Oid> own_schemas;
  std::vector<Oid> own_roles;
  for (const auto& [oid, schema] : schemas_) {
    all.push_back(oid);
    if (schema.is_rows) {
      rows.push_back(oid);
    }
    for (const Oid role : schema.roles) {
      own_schemas.push_back(oid);
      own_roles.push_back(role);
    }
  }
  schema_oids_ = oid_array(all);
  rows_oids_ = oid_array(rows);
  own_schemas_ = oid_array(own_schemas);
  own_roles_ = oid_array(own_roles);
  std::vector<std::string> path = input_->path_extra;
  path.push_back(input_->shared_schema);
  for (const std::string& name : path) {
    const auto at = namespaces_.find(name);
    if (at != namespaces_.end() && !schemas_.contains(at->second)) {
      all.push_back(at->second);
    }
  }
  path_oids_ = oid_array(all);
}

}  // namespace tenantctl
