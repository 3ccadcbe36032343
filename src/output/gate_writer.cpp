#include "output/gate_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "output/json_document.h"
#include "output/table.h"
#include "output/tenant_writer.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

Json roles_json(const GateState& state) {
  Json roles = Json::array();
  for (const GateRole& role : state.roles) {
    Json json;
    json["role"] = role.name;
    json["may_log_in"] = role.may_log_in;
    json["may_enter"] = role.may_enter;
    json["may_claim"] = role.may_claim;
    if (!role.looks_across.empty()) {
      json["looks_across"] = role.looks_across;
    }
    roles.push_back(std::move(json));
  }
  return roles;
}

}  // namespace

void write_gate_install(std::ostream& out, std::ostream& err, Format format,
                        const Installed& installed, const ResidentGates& residents) {
  if (format == Format::json) {
    Json json = json_document("gate install");
    json["action"] = action_of(installed);
    json["version"] = installed.after;
    json["databases"]["settled"] = residents.settled;
    json["databases"]["failed"] = Json::array();
    for (const TenantResult& one : residents.failed)
      json["databases"]["failed"].push_back(Json{{"tenant", one.tenant}, {"message", one.message}});
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("gate {}, version {}\n", action_of(installed), installed.after);
  if (residents.settled > 0) {
    out << fmt::format("and in {} of tenants\n",
                       counted(residents.settled, "own database", "own databases"));
  }
  constexpr std::size_t shown = 10;
  for (std::size_t i = 0; i < std::min(shown, residents.failed.size()); ++i) {
    const TenantResult& one = residents.failed[i];
    err << fmt::format("tenantctl: {}: the gate in its database is not at this version: {}\n",
                       escaped_name(one.tenant), told(one.message));
  }
  if (residents.failed.size() > shown) {
    err << fmt::format("tenantctl: and {} more: -o json names all\n",
                       residents.failed.size() - shown);
  }
}

void write_gate(std::ostream& out, Format format, const GateState& state) {
  if (format == Format::json) {
    Json json = json_document("gate show");
    json["version"] = state.version;
    json["version_table"] = state.version_table;
    json["search_path"] = "<tenant>" + state.path_behind;
    if (!state.admin_role.empty()) {
      json["admin_role"] = state.admin_role;
    }
    json["roles"] = roles_json(state);
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("gate, version {}\nsearch_path: <tenant>{}\n\n", state.version,
                     escaped_name(state.path_behind));
  std::vector<std::vector<std::string>> rows{{"ROLE", "LOGIN", "ENTERS", "CLAIMS", "LOOKS ACROSS"}};
  for (const GateRole& role : state.roles) {
    rows.push_back({escaped_name(role.name), role.may_log_in ? "yes" : "no",
                    role.may_enter ? "yes" : "no", role.may_claim ? "yes" : "no",
                    role.looks_across.empty() ? "no" : role.looks_across});
  }
  write_table(out, rows);
}

}  // namespace tenantctl
