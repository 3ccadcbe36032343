#include "output/run_writer.h"

#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "output/json_document.h"
#include "output/result_writer.h"
#include "output/table.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

// Digits are enough where no folder is read: titles stand in the plan.
const RevisionFolder& no_folder() {
  static const RevisionFolder folder;
  return folder;
}

std::string who_text(const RunRecord& run) {
  std::string text = run.user;
  if (!run.start.os_user.empty() || !run.start.host.empty()) {
    text += fmt::format(" ({}@{})", run.start.os_user, run.start.host);
  }
  return escaped(text);
}

std::string counts_text(const ResultCounts& counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts.at(i) > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", counts.at(i),
                          to_text(static_cast<Result>(i)));
    }
  }
  return text.empty() ? "none" : text;
}

std::string counts_text(const RunRecord& run) {
  std::string text;
  if (run.end.shared) {
    text += "shared " + counts_text(*run.end.shared);
  }
  if (run.end.tenants) {
    text += (text.empty() ? "" : "; ") + counts_text(*run.end.tenants);
  }
  return text;
}

void add_text(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) {
    json[key] = value;
  }
}

Json run_json(const RunRecord& run) {
  Json json;
  json["run_id"] = run.start.id;
  json["command"] = run.start.command;
  json["target"] = run.start.target;
  add_text(json, "of_run", run.start.of_run);
  json["state"] = to_text(run.end.state);
  json["started_at"] = run.started_at;
  add_text(json, "ended_at", run.ended_at);
  json["duration_ms"] = run.duration.count();
  json["user"] = run.user;
  add_text(json, "os_user", run.start.os_user);
  add_text(json, "host", run.start.host);
  add_text(json, "job", run.start.job);
  json["tool_version"] = run.start.tool_version;
  add_text(json, "shared_digest", run.start.shared_digest);
  add_text(json, "tenant_digest", run.start.tenant_digest);
  add_text(json, "message", run.end.message);
  json["counts"] = Json::object();
  if (run.end.shared) {
    json["counts"]["shared"] = counts_json(*run.end.shared);
  }
  if (run.end.tenants) {
    json["counts"]["tenants"] = counts_json(*run.end.tenants);
  }
  return json;
}

Json plan_json(const std::vector<RunGroup>& groups) {
  Json json = Json::array();
  for (const RunGroup& group : groups) {
    json.push_back({{"scope", to_text(group.scope)},
                    {"from", group.from},
                    {"to", group.to},
                    {"revisions", group.revisions},
                    {"count", group.count}});
  }
  return json;
}

bool is_listed(const SchemaReport& schema, bool lists_all) {
  return lists_all || is_problem(schema.result);
}

Json details_json(const RunDetails& details) {
  Json json = json_document("runs show");
  json["run"] = run_json(*details.run);
  json["plan"] = plan_json(details.run->start.groups);
  for (const auto& [key, report] :
       {std::pair("shared", details.shared), std::pair("tenants", details.tenants)}) {
    Json scope;
    scope["schemas"] = Json::array();
    for (const SchemaReport& schema : report->schemas) {
      if (is_listed(schema, details.lists_all)) {
        scope["schemas"].push_back(schema_json(schema, no_folder()));
      }
    }
    scope["causes"] = causes_json(*report);
    json[key] = scope;
  }
  json["unfinished"] = *details.unfinished;
  return json;
}

void write_head(std::ostream& out, const RunRecord& run) {
  const RunStart& start = run.start;
  out << fmt::format("run {}\n{} to {}: {}\n", start.id, start.command, escaped(start.target),
                     to_text(run.end.state));
  if (!start.of_run.empty()) {
    out << "of run " << start.of_run << '\n';
  }
  out << fmt::format("by {}{}, tenantctl {}\n", who_text(run),
                     start.job.empty() ? "" : ", " + escaped(start.job), start.tool_version);
  out << fmt::format("begun {}, {} {}\n", run.started_at,
                     run.ended_at.empty() ? "last heard of after" : "took",
                     duration_text(run.duration));
  if (!run.end.message.empty()) {
    out << told(run.end.message) << '\n';
  }
  for (const RunGroup& group : start.groups) {
    out << fmt::format(
        "plan     {}: {} at {}{}\n", to_text(group.scope), counted(group.count, "schema"),
        group.from == 0 ? "base" : fmt::to_string(group.from),
        group.revisions.empty() ? "" : fmt::format(", {}", fmt::join(group.revisions, ", ")));
  }
}

void write_schemas(std::ostream& out, const Report& report) {
  std::vector<std::vector<std::string>> rows;
  for (const SchemaReport& schema : report.schemas) {
    rows.push_back({escaped_name(schema.schema), std::string(to_text(schema.result)),
                    fmt::format("{} -> {}", revision_text(no_folder(), schema.from),
                                revision_text(no_folder(), schema.revision)),
                    counted(schema.steps, "revision"), duration_text(schema.duration)});
  }
  write_table(out, rows);
}

void write_details(std::ostream& out, const RunDetails& details) {
  const RunRecord& run = *details.run;
  write_head(out, run);
  if (run.end.shared) {
    out << "shared   " << counts_text(*run.end.shared) << '\n';
  }
  if (run.end.tenants) {
    out << "tenants  " << counts_text(*run.end.tenants) << '\n';
  }
  for (const Report* report : {details.shared, details.tenants}) {
    if (details.lists_all) {
      write_schemas(out, *report);
    }
    write_causes(out, *report, no_folder());
  }
  if (!details.unfinished->empty()) {
    out << fmt::format("HINT: tenantctl retry {} takes the {} that {} not finished.\n",
                       run.start.id.substr(0, 8), counted(details.unfinished->size(), "schema"),
                       details.unfinished->size() == 1 ? "was" : "were");
  }
}

}  // namespace

void write_runs(std::ostream& out, Format format, const std::vector<RunRecord>& runs) {
  if (format == Format::json) {
    Json json = json_document("runs");
    json["runs"] = Json::array();
    for (const RunRecord& run : runs) {
      json["runs"].push_back(run_json(run));
    }
    out << json_text(json) << '\n';
    return;
  }
  if (runs.empty()) {
    out << "no run is recorded\n";
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"RUN", "BEGUN", "TOOK", "COMMAND", "TARGET", "BY", "STATE", "SCHEMAS"}};
  for (const RunRecord& run : runs) {
    rows.push_back({run.start.id.substr(0, 8), run.started_at, duration_text(run.duration),
                    run.start.command, escaped(run.start.target), who_text(run),
                    std::string(to_text(run.end.state)), counts_text(run)});
  }
  write_table(out, rows, {2});
}

void write_run_details(std::ostream& out, Format format, const RunDetails& details) {
  if (format == Format::json) {
    out << json_text(details_json(details)) << '\n';
    return;
  }
  write_details(out, details);
}

}  // namespace tenantctl
