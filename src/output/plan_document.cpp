#include "output/plan_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "base/text.h"
#include "output/json_document.h"
#include "output/table.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr int format_version = 1;
constexpr std::size_t line_width = 100;
constexpr std::size_t longest_line = 160;  // a title and a checksum fit

struct StateName {
  Standing::State state;
  std::string_view name;
};
constexpr std::array state_names{StateName{Standing::State::marked, "marked"},
                                 StateName{Standing::State::unmarked, "unmarked"},
                                 StateName{Standing::State::lying, "lying"},
                                 StateName{Standing::State::bare, "bare"},
                                 StateName{Standing::State::foreign, "foreign"},
                                 StateName{Standing::State::missing, "missing"},
                                 StateName{Standing::State::dropping, "dropping"},
                                 StateName{Standing::State::broken, "broken"},
                                 StateName{Standing::State::unavailable, "unavailable"}};

std::string_view name_of(Standing::State state) {
  return std::find_if(state_names.begin(), state_names.end(),
                      [state](const StateName& one) { return one.state == state; })
      ->name;
}

Standing::State state_of(std::string_view name) {
  const auto at = std::find_if(state_names.begin(), state_names.end(),
                               [name](const StateName& one) { return one.name == name; });
  if (at == state_names.end()) {
    throw UsageError(fmt::format("unknown state \"{}\"", escaped_name(name)));
  }
  return at->state;
}

Json place_json(const Mark& mark) {
  Json json;
  json["head"] = mark.head;
  json["count"] = mark.count;
  json["digest"] = mark.digest;
  if (mark.running != 0) {
    json["running"] = mark.running;
  }
  return json;
}

Mark place_of(const Json& json, Scope scope) {
  Mark mark;
  mark.scope = scope;
  mark.head = json.at("head").get<RevisionNumber>();
  mark.count = json.at("count").get<std::size_t>();
  mark.digest = json.at("digest").get<std::string>();
  mark.running = json.value("running", RevisionNumber{0});
  return mark;
}

Json entries_json(const std::vector<PlanFile::Entry>& entries) {
  Json json = Json::array();
  for (const PlanFile::Entry& entry : entries) {
    json.push_back({{"revision", entry.title}, {"checksum", entry.checksum}});
  }
  return json;
}

std::vector<PlanFile::Entry> entries_of(const Json& json) {
  std::vector<PlanFile::Entry> entries;
  for (const Json& entry : json) {
    entries.push_back({.title = entry.at("revision").get<std::string>(),
                       .checksum = entry.at("checksum").get<std::string>()});
  }
  return entries;
}

// Each once, however many groups get it, in the folder's order.
std::vector<const Revision*> planned_revisions(const PlanFile::ScopePlan& plan,
                                               const RevisionFolder& folder) {
  std::set<std::string_view> titles;
  for (const PlanFile::Group& group : plan.groups) {
    for (const PlanFile::Entry& step : group.steps) {
      titles.insert(step.title);
    }
  }
  std::vector<const Revision*> revisions;
  for (const Revision& revision : folder.revisions()) {
    if (titles.contains(revision.title())) {
      revisions.push_back(&revision);
    }
  }
  return revisions;
}

Json group_json(const PlanFile::Group& group) {
  Json json;
  json["state"] = name_of(group.state);
  json["from"] = place_json(group.from);
  json["to"] = place_json(group.to);
  json["revisions"] = entries_json(group.steps);
  if (!group.problem.empty()) {
    json["problem"] = group.problem;
  }
  json["count"] = group.schemas.size();
  json["schemas"] = group.schemas;
  return json;
}

Json scope_json(const PlanFile::ScopePlan& plan, const RevisionFolder& folder) {
  Json json;
  json["folder_digest"] = folder_digest(folder);
  json["folder"] = entries_json(plan.folder);
  json["groups"] = Json::array();
  for (const PlanFile::Group& group : plan.groups) {
    json["groups"].push_back(group_json(group));
  }
  json["revisions"] = Json::array();
  for (const Revision* revision : planned_revisions(plan, folder)) {
    json["revisions"].push_back({{"revision", revision->title()},
                                 {"file", revision->file},
                                 {"checksum", revision->checksum},
                                 {"transaction", revision->up.transaction},
                                 {"sql", revision->up.script.text()}});
  }
  return json;
}

PlanFile::ScopePlan scope_plan_of(const Json& json, Scope scope) {
  PlanFile::ScopePlan plan;
  plan.folder = entries_of(json.at("folder"));
  for (const Json& one : json.at("groups")) {
    PlanFile::Group group;
    group.state = state_of(one.at("state").get<std::string>());
    group.from = place_of(one.at("from"), scope);
    group.to = place_of(one.at("to"), scope);
    group.steps = entries_of(one.at("revisions"));
    group.problem = one.value("problem", std::string());
    group.schemas = one.at("schemas").get<std::vector<std::string>>();
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

std::string compact(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Names flow, everything else has a line of its own: a diff of two plans can be read, and four
// thousand schemas are no four thousand lines.
void write_flowing(std::string& text, const Json& names, const std::string& indent) {
  text += "[";
  std::string line;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string word = compact(names[i]) + (i + 1 < names.size() ? "," : "");
    if (line.empty() || indent.size() + line.size() + word.size() + 1 > line_width) {
      text += line + "\n" + indent;
      line = word;
    } else {
      line += " " + word;
    }
  }
  text += line + (names.empty() ? "]" : "\n" + indent.substr(2) + "]");
}

void write_json(std::string& text, const Json& json, const std::string& indent) {
  const bool is_list_of_names =
      json.is_array() &&
      (!json.empty() &&
       std::all_of(json.begin(), json.end(), [](const Json& one) { return one.is_string(); }));
  if (is_list_of_names) {
    write_flowing(text, json, indent + "  ");
    return;
  }
  const std::string line = compact(json);
  if (!json.is_structured() || json.empty() || indent.size() + line.size() <= longest_line) {
    text += line;
    return;
  }
  text += json.is_array() ? "[" : "{";
  bool is_first = true;
  for (const auto& [key, value] : json.items()) {
    text += (is_first ? "\n" : ",\n") + indent + "  ";
    is_first = false;
    if (json.is_object()) {
      text += compact(Json(key)) + ": ";
    }
    write_json(text, value, indent + "  ");
  }
  text += "\n" + indent + (json.is_array() ? "]" : "}");
}

std::string place_text(const PlanFile::Group& group) {
  if (group.state == Standing::State::missing) {
    return "to be created";
  }
  return group.from.count == 0 ? "at base" : fmt::format("at {}", group.from.head);
}

void write_group(std::ostream& out, const PlanFile::Group& group) {
  out << fmt::format("\n### {} {}{}\n\n", counted(group.schemas.size(), "schema"),
                     place_text(group),
                     group.steps.empty() ? "" : fmt::format(", to {}", group.to.head));
  if (!group.problem.empty()) {
    out << fmt::format("Left alone: {}\n\n", escaped(group.problem));
  } else if (group.steps.empty()) {
    out << "Nothing to do.\n\n";
  }
  for (std::size_t i = 0; i < group.steps.size(); ++i) {
    const PlanFile::Entry& step = group.steps[i];
    out << fmt::format("{}. {}  {}\n{}", i + 1, step.title, step.checksum,
                       i + 1 == group.steps.size() ? "\n" : "");
  }
  const std::vector<std::string_view> names(group.schemas.begin(), group.schemas.end());
  out << wrapped_names(names, "", line_width, 40);
}

// A fence longer than any in the SQL.
std::string fence_for(std::string_view sql) {
  std::string fence = "```";
  while (sql.find(fence) != std::string_view::npos) {
    fence += '`';
  }
  return fence;
}

void write_scope(std::ostream& out, Scope scope, const PlanFile::ScopePlan& plan,
                 const RevisionFolder& folder) {
  std::size_t schemas = 0;
  for (const PlanFile::Group& group : plan.groups) {
    schemas += group.schemas.size();
  }
  const std::string digest = folder_digest(folder);
  out << fmt::format("\n## {} scope: {} in {}\n\nfolder: {}{}\n", to_text(scope),
                     counted(schemas, "schema"), counted(plan.groups.size(), "group"),
                     counted(folder.revisions().size(), "revision"),
                     digest.empty() ? "" : ", digest " + digest.substr(0, 16));
  for (const PlanFile::Group& group : plan.groups) {
    write_group(out, group);
  }
  for (const Revision* revision : planned_revisions(plan, folder)) {
    const std::string& sql = revision->up.script.text();
    const std::string fence = fence_for(sql);
    out << fmt::format("\n### {}{}\n\n{}sql\n{}{}{}\n", revision->title(),
                       revision->up.transaction ? "" : " (outside a transaction)", fence,
                       escaped(sql), sql.ends_with('\n') ? "" : "\n", fence);
  }
}

}  // namespace

std::string json_plan_file(const PlanDocument& document) {
  Json json = json_document("plan");
  json["target"] = document.plan->target;
  if (document.plan->shared) {
    json["shared"] = scope_json(*document.plan->shared, *document.shared_folder);
  }
  json["tenants"] = scope_json(document.plan->tenants, *document.tenant_folder);
  std::string text;
  write_json(text, json, "");
  return text;
}

void write_plan_document(std::ostream& out, Format format, const PlanDocument& document) {
  if (format == Format::json) {
    out << json_plan_file(document) << '\n';
    return;
  }
  out << fmt::format("# Plan: upgrade-all to {}\n", document.plan->target);
  if (document.plan->shared) {
    write_scope(out, Scope::shared, *document.plan->shared, *document.shared_folder);
  }
  write_scope(out, Scope::tenant, document.plan->tenants, *document.tenant_folder);
}

PlanFile read_plan_file(std::string_view text, std::string_view name) {
  try {
    const Json json = Json::parse(text);
    if (json.at("command") != "plan") {
      throw UsageError("it is the document of another command");
    }
    if (json.at("format_version") != format_version) {
      throw UsageError("another version of tenantctl made it");
    }
    PlanFile plan;
    plan.target = json.at("target").get<std::string>();
    if (json.contains("shared")) {
      plan.shared = scope_plan_of(json["shared"], Scope::shared);
    }
    plan.tenants = scope_plan_of(json.at("tenants"), Scope::tenant);
    return plan;
  } catch (const Json::exception& error) {
    throw UsageError(fmt::format("{} is no plan: {}", escaped_name(name), escaped(error.what())),
                     "tenantctl plan --file writes one.");
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{} is no plan: {}", escaped_name(name), error.what()),
                     "tenantctl plan --file writes one.");
  }
}

}  // namespace tenantctl
