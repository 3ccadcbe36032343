#include "output/roles_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "output/json_document.h"
#include "output/table.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

std::string list_of(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + escaped_name(word);
  return text.empty() ? "-" : text;
}

Json role_json(const FleetRole& role) {
  Json json;
  json["purpose"] = role.purpose;
  json["role"] = role.name;
  json["is_there"] = role.is_there;
  json["is_made_by_tenantctl"] = role.is_made;
  json["may_log_in"] = role.may_log_in;
  json["attributes"] = role.powers;
  json["member_of"] = role.groups;
  return json;
}

Json fleet_roles_json(const FleetRoleFacts& facts) {
  Json roles = Json::array();
  for (const FleetRole* role : {&facts.owner, &facts.migrator, &facts.status})
    roles.push_back(role_json(*role));
  return roles;
}

std::string sql_line(const std::string& sql) { return sql + ";\n"; }

// How an existing fleet comes to the owner depends on how large it is; README tells both ways.
void write_remarks(std::ostream& err, const FleetRoleFacts& facts) {
  if (facts.schema_owner != facts.owner.name) {
    err << fmt::format(
        "tenantctl: notice: schema tenantctl belongs to {}, not to {}: {} does not see it; install "
        "again when all is the owner's\n",
        escaped_name(facts.schema_owner), escaped_name(facts.owner.name),
        escaped_name(facts.status.name));
  }
  if (!facts.reached.empty()) {
    err << fmt::format(
        "tenantctl: warning: {} sees more than versions: {}, {} the first; REVOKE it, or name "
        "another role\n",
        escaped_name(facts.status.name),
        counted(facts.reached.size(), "table or view", "tables or views"),
        escaped_name(facts.reached.front()));
  }
  for (const auto& [owner, count] : facts.strangers) {
    err << fmt::format(
        "tenantctl: notice: {} of {}, not of {}: the tool calls them foreign. While no run is "
        "under way, as a superuser: REASSIGN OWNED BY {} TO {}; a large fleet in batches: README, "
        "Roles\n",
        counted(count, "version table"), escaped_name(owner), escaped_name(facts.owner.name),
        quote_identifier(owner), quote_identifier(facts.owner.name));
  }
}

void write_next(std::ostream& out, const FleetRoleFacts& facts) {
  const std::string owner = escaped_name(facts.owner.name);
  out << "\nNo password was set: \\password NAME in psql sets one. Then\n";
  write_table(out,
              {{"  " + escaped_name(facts.migrator.name), fmt::format("tenantctl --role {}", owner),
                "upgrades, creates, drops"},
               {"  " + escaped_name(facts.status.name), fmt::format("tenantctl --owner {}", owner),
                "status, check, tenant list, runs"}});
}

}  // namespace

void write_roles_install(std::ostream& out, std::ostream& err, Format format,
                         const RolesInstall& result) {
  if (format == Format::json) {
    Json json = json_document("roles install");
    json["roles"] = fleet_roles_json(result.facts);
    json["done"] = result.done;
    json["version_tables"] = result.tables;
    json["databases"]["settled"] = result.databases;
    json["databases"]["failed"] = Json::array();
    for (const TenantResult& one : result.failed)
      json["databases"]["failed"].push_back(Json{{"tenant", one.tenant}, {"message", one.message}});
    json["amiss"] = find_amiss(result.facts);
    out << json_text(json) << '\n';
    return;
  }
  for (const std::string& what : result.done)
    out << what << '\n';
  if (result.tables > 0) {
    out << fmt::format("{} became readable to {}\n", counted(result.tables, "version table"),
                       escaped_name(result.facts.status.name));
  }
  if (result.done.empty() && result.tables == 0)
    out << "the roles are as they should be\n";
  if (result.databases > 0) {
    out << fmt::format("and in {} of tenants\n",
                       counted(result.databases, "own database", "own databases"));
  }
  if (!result.done.empty())
    write_next(out, result.facts);
  write_remarks(err, result.facts);
  constexpr std::size_t shown = 10;
  for (std::size_t i = 0; i < std::min(shown, result.failed.size()); ++i) {
    err << fmt::format("tenantctl: {}: the roles may not do their work in its database: {}\n",
                       escaped_name(result.failed[i].tenant), told(result.failed[i].message));
  }
  if (result.failed.size() > shown)
    err << fmt::format("tenantctl: and {} more: -o json names all\n", result.failed.size() - shown);
}

void write_roles_sql(std::ostream& out, const std::vector<FleetRoleStep>& steps,
                     const std::string& owner) {
  bool as_owner = false;
  for (const FleetRoleStep& step : steps) {
    if (step.as_owner != as_owner)
      out << (step.as_owner ? "SET ROLE " + quote_identifier(owner) + ";\n" : "RESET ROLE;\n");
    as_owner = step.as_owner;
    for (const std::string& sql : step.sql)
      out << sql_line(sql);
  }
  if (as_owner)
    out << "RESET ROLE;\n";
}

void write_roles_plan(std::ostream& out, const std::vector<FleetRoleStep>& steps) {
  for (const FleetRoleStep& step : steps)
    out << step.what << '\n';
  if (steps.empty())
    out << "the roles are as they should be\n";
}

void write_roles_plan_json(std::ostream& out, const std::vector<FleetRoleStep>& steps,
                           const std::string& owner) {
  Json json = json_document("roles install");
  json["steps"] = Json::array();
  for (const FleetRoleStep& step : steps) {
    json["steps"].push_back(
        Json{{"what", step.what}, {"as", step.as_owner ? owner : ""}, {"sql", step.sql}});
  }
  out << json_text(json) << '\n';
}

void write_roles(std::ostream& out, Format format, const FleetRoleFacts& facts) {
  const std::vector<std::string> amiss = find_amiss(facts);
  if (format == Format::json) {
    Json json = json_document("roles show");
    json["database"] = facts.database;
    json["roles"] = fleet_roles_json(facts);
    json["version_tables"]["readable"] = facts.readable;
    json["version_tables"]["unreadable"] = facts.unreadable.size();
    json["amiss"] = amiss;
    out << json_text(json) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"PURPOSE", "ROLE", "THERE", "LOGIN", "ATTRIBUTES", "MEMBER OF"}};
  for (const FleetRole* role : {&facts.owner, &facts.migrator, &facts.status}) {
    std::vector<std::string> groups = role->groups;
    if (role == &facts.migrator && facts.migrator_acts)
      groups.insert(groups.begin(), facts.owner.name);
    rows.push_back({role->purpose, escaped_name(role->name),
                    !role->is_there ? "no"
                    : role->is_made ? "made by tenantctl"
                                    : "yes",
                    role->may_log_in ? "yes" : "no", list_of(role->powers), list_of(groups)});
  }
  write_table(out, rows);
  out << fmt::format("\n{} readable to {}\n", counted(facts.readable, "version table"),
                     escaped_name(facts.status.name));
  if (!amiss.empty())
    out << "\namiss:\n";
  for (const std::string& one : amiss)
    out << "  " << one << '\n';
}

}  // namespace tenantctl
