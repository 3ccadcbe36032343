// What roles can do whatever is granted on objects: attributes, memberships, settings.

#include <fmt/format.h>

#include <array>
#include <unordered_map>

#include "base/number.h"
#include "base/text.h"
#include "catalog/judgement.h"

namespace tenantctl {
namespace {

constexpr std::array predefined{"pg_read_all_data",
                                "pg_write_all_data",
                                "pg_read_server_files",
                                "pg_write_server_files",
                                "pg_execute_server_program",
                                "pg_signal_backend",
                                "pg_monitor",
                                "pg_read_all_stats",
                                "pg_read_all_settings",
                                "pg_checkpoint",
                                "pg_database_owner",
                                "pg_maintain",
                                "pg_create_subscription"};

// Why membership in that role goes around rights; empty if it does not.
std::string power_of(const AuditFacts& facts, const Role& group,
                     const std::unordered_set<Oid>& owners) {
  for (const std::string_view name : predefined) {
    if (group.name == name) {
      return "predefined role";
    }
  }
  if (!group.attributes.empty()) {
    return group.attributes;
  }
  if (owners.contains(group.oid)) {
    return "owns tenants' schemas";
  }
  return facts.is_tenant_role(group.oid) ? "another tenant's role" : "";
}

// `"$user", tenant_a , "B"""` as the list of names it is.
std::vector<std::string> names_of_path(std::string_view path) {
  std::vector<std::string> names;
  std::string name;
  bool quoted = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '"' && quoted && i + 1 < path.size() && path[i + 1] == '"') {
      name += path[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      name += c;
    } else if (c == ',') {
      names.push_back(std::move(name));
      name.clear();
    } else if (c != ' ') {
      name += lowered(std::string_view(&c, 1));
    }
  }
  names.push_back(std::move(name));
  return names;
}

void judge_path(Judgement& judgement, Oid role, std::string_view path) {
  const AuditFacts& facts = judgement.facts;
  std::unordered_map<std::string_view, const AuditedSchema*> by_name;
  for (const auto& [oid, schema] : facts.schemas()) {
    by_name.emplace(schema.name, &schema);
  }
  for (const std::string& name : names_of_path(path)) {
    const auto at = by_name.find(name);
    const bool is_foreign = role == 0 || (at != by_name.end() && facts.is_tenant_role(role) &&
                                          !at->second->roles.contains(role));
    if (at != by_name.end() && is_foreign) {
      judgement.add(role == 0 ? "every role" : facts.roles().name_of(role), name,
                    fmt::format("search_path = {}", path));
    }
  }
}

// A tenant that is there by itself: nothing is denied when an application forgets to enter one.
void judge_preset_tenant(Judgement& judgement, Oid role, std::string_view id) {
  bool is_own = role != 0;
  const auto& tenants = judgement.facts.tenants_of(role);
  for (const AuditedTenant* tenant : tenants) {
    is_own = is_own && tenant->id == id;
  }
  if (id.empty() || (is_own && (!tenants.empty() || !judgement.facts.input().has_registry))) {
    return;
  }
  judgement.add(role == 0 ? "every role" : judgement.facts.roles().name_of(role),
                "tenantctl.tenant_id", fmt::format("set to {}", id));
}

}  // namespace

void judge_shared_roles(Judgement& judgement) {
  for (const Oid role : judgement.facts.tenant_roles()) {
    std::unordered_set<std::string_view> schemas;
    for (const AuditedTenant* tenant : judgement.facts.tenants_of(role)) {
      schemas.insert(tenant->schema);
    }
    if (schemas.size() > 1) {
      const std::string name = judgement.facts.roles().name_of(role);
      judgement.add(name, name, fmt::format("works in {} tenants' schemas", schemas.size()));
    }
  }
}

void judge_role_powers(Judgement& judgement) {
  const AuditFacts& facts = judgement.facts;
  std::unordered_set<Oid> owners;
  for (const auto& [oid, schema] : facts.schemas()) {
    owners.insert(schema.owner);
  }
  for (const Oid oid : facts.tenant_roles()) {
    const Role& role = *facts.roles().find(oid);
    if (!role.attributes.empty()) {
      judgement.add(role.name, role.name, role.attributes);
    }
    if (role.is_superuser) {
      continue;
    }
    for (const Oid group : facts.roles().groups_of(oid)) {
      const Role* other = group == oid ? nullptr : facts.roles().find(group);
      const std::string power = other == nullptr ? "" : power_of(facts, *other, owners);
      if (!power.empty()) {
        judgement.add(role.name, other->name, fmt::format("is a member: {}", power));
      }
    }
  }
}

void judge_role_settings(Judgement& judgement) {
  judgement.ask(
      "SELECT s.setrole, c.setting FROM pg_catalog.pg_db_role_setting s "
      "CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (setting) "
      "WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d "
      "WHERE d.datname = pg_catalog.current_database()))",
      {}, [&judgement](const pq::Row& row) {
        const std::string_view setting = row.text(1);
        const std::size_t equals = std::min(setting.find('='), setting.size());
        const std::string_view value = setting.substr(std::min(equals + 1, setting.size()));
        const std::string_view name = setting.substr(0, equals);
        const auto role = number_of<Oid>(row.text(0));
        if (name == "search_path") {
          judge_path(judgement, role, value);
        } else if (name == "tenantctl.tenant_id") {
          judge_preset_tenant(judgement, role, value);
        }
      });
}

}  // namespace tenantctl
