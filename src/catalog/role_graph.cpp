#include "catalog/role_graph.h"

#include <array>
#include <unordered_set>
#include <utility>

#include "base/number.h"

namespace tenantctl {
namespace {

Role role_of(const pq::Row& row) {
  Role role{.oid = number_of<Oid>(row.text(0)),
            .name = std::string(row.text(1)),
            .is_superuser = row.text(2) == "t",
            .bypasses_rows = row.text(3) == "t",
            .attributes = {}};
  constexpr std::array names{"SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (row.text(static_cast<int>(i) + 2) == "t") {
      role.attributes += (role.attributes.empty() ? "" : ", ") + std::string(names.at(i));
    }
  }
  return role;
}

}  // namespace

std::vector<pq::Message> RoleGraph::questions() {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, "
                             "r.rolcreaterole, r.rolcreatedb, r.rolreplication "
                             "FROM pg_catalog.pg_roles r",
                      .on_row = [this](const pq::Row& row) {
                        Role role = role_of(row);
                        oids_.emplace(role.name, role.oid);
                        roles_.emplace(role.oid, std::move(role));
                      }});
  messages.push_back({.sql = "SELECT DISTINCT m.roleid, m.member FROM pg_catalog.pg_auth_members m",
                      .on_row = [this](const pq::Row& row) {
                        const auto group = number_of<Oid>(row.text(0));
                        const auto member = number_of<Oid>(row.text(1));
                        groups_[member].push_back(group);
                        members_[group].push_back(member);
                      }});
  return messages;
}

const Role* RoleGraph::find(Oid oid) const {
  const auto at = roles_.find(oid);
  return at == roles_.end() ? nullptr : &at->second;
}

const Role* RoleGraph::find(std::string_view name) const {
  const auto at = oids_.find(std::string(name));
  return at == oids_.end() ? nullptr : find(at->second);
}

std::string RoleGraph::name_of(Oid oid) const {
  if (oid == 0) {
    return "PUBLIC";
  }
  const Role* role = find(oid);
  return role == nullptr ? std::to_string(oid) : role->name;
}

std::vector<Oid> RoleGraph::groups_of(Oid role) const { return closure(groups_, role); }

std::vector<Oid> RoleGraph::members_of(Oid role) const { return closure(members_, role); }

std::vector<Oid> RoleGraph::closure(const Edges& edges, Oid start) {
  std::vector<Oid> reached{start};
  std::unordered_set<Oid> seen{start};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const auto at = edges.find(reached[i]);
    if (at == edges.end()) {
      continue;
    }
    for (const Oid next : at->second) {
      if (seen.insert(next).second) {
        reached.push_back(next);
      }
    }
  }
  return reached;
}

}  // namespace tenantctl
