#include "output/json_writer.h"

#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "output/json_document.h"
#include "output/move_json.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

Json place_json(const Place& place) {
  Json json;
  json["file"] = place.file;
  if (place.line > 0) {
    json["line"] = place.line;
  }
  if (place.column > 0) {
    json["column"] = place.column;
  }
  return json;
}

Json failure_json(const Failure& failure) {
  Json json;
  json["message"] = failure.message;
  if (!failure.sqlstate.empty()) {
    json["sqlstate"] = failure.sqlstate;
  }
  if (!failure.revision.empty()) {
    json["revision"] = failure.revision;
  }
  if (failure.place) {
    json["place"] = place_json(*failure.place);
  }
  if (!failure.hint.empty()) {
    json["hint"] = failure.hint;
  }
  return json;
}

Json blocker_json(const Blocker& blocker) {
  Json json;
  json["pid"] = blocker.pid;
  json["user"] = blocker.user;
  json["application"] = blocker.application;
  json["state"] = blocker.state;
  json["age_ms"] = blocker.age.count();
  json["query"] = blocker.query;
  return json;
}

// By name, with what was measured.
Json times_json(const SchemaList& schemas) {
  Json json = Json::array();
  for (const SchemaReport* schema : schemas) {
    json.push_back({{"schema", schema->schema}, {"duration_ms", schema->duration.count()}});
  }
  return json;
}

// An object that is written member by member: as one value, the schemas of a run would be in memory
// a second time, at a kilobyte each.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::ostream& out, std::string indent = "")
      : out_(out), indent_(std::move(indent)) {
    out_ << '{';
  }

  void add(std::string_view key, const Json& value) {
    name(key);
    write(value, indent_ + "  ");
  }

  void add_members(const Json& object) {
    for (const auto& [key, value] : object.items()) {
      add(key, value);
    }
  }

  /// A list of one value per item of `range`.
  template <typename Range, typename ToJson>
  void add_list(std::string_view key, const Range& range, const ToJson& to_json) {
    name(key);
    std::string_view before = "[\n";
    for (const auto& item : range) {
      out_ << before << indent_ << "    ";
      write(to_json(item), indent_ + "    ");
      before = ",\n";
    }
    if (before == "[\n") {
      out_ << "[]";
    } else {
      out_ << '\n' << indent_ << "  ]";
    }
  }

  /// A member that is an object; to be finished before the next member.
  ObjectWriter object(std::string_view key) {
    name(key);
    return ObjectWriter(out_, indent_ + "  ");
  }

  void finish() { out_ << '\n' << indent_ << '}'; }

 private:
  void name(std::string_view key) {
    out_ << (is_empty_ ? "\n" : ",\n") << indent_ << "  " << Json(key) << ": ";
    is_empty_ = false;
  }

  // A line feed inside a string is written as \n, so each one here separates lines.
  void write(const Json& value, std::string_view indent) {
    const std::string text = json_text(value);
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         end = text.find('\n', begin)) {
      out_ << std::string_view(text).substr(begin, end + 1 - begin) << indent;
      begin = end + 1;
    }
    out_ << std::string_view(text).substr(begin);
  }

  std::ostream& out_;
  std::string indent_;
  bool is_empty_ = true;
};

void write_report(ObjectWriter&& writer, const Report& report, const RevisionFolder& folder) {
  Json head;
  head["counts"] = counts_json(report.counts());
  head["retried"] = retried_of(report).size();
  head["duration_ms"] = report.duration.count();
  head["interrupted"] = report.interrupted;
  if (!report.stopped_by.empty()) {
    head["stopped_by"] = report.stopped_by;
  }
  if (report.appeared > 0) {
    head["appeared"] = report.appeared;
  }
  head["slowest"] = times_json(slowest_of(report));
  writer.add_members(head);
  writer.add_list("schemas", report.schemas,
                  [&folder](const SchemaReport& schema) { return schema_json(schema, folder); });
  writer.add("causes", causes_json(report));
  writer.finish();
}

std::string_view kind_text(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::install:
      return "install";
    case Step::Kind::upgrade:
      return "upgrade";
    case Step::Kind::downgrade:
      return "downgrade";
    case Step::Kind::record:
      break;
  }
  return "record";
}

std::string_view state_text(Standing::State state) {
  switch (state) {
    case Standing::State::marked:
      return "marked";
    case Standing::State::unmarked:
      return "unmarked";
    case Standing::State::lying:
      return "lying";
    case Standing::State::bare:
      return "bare";
    case Standing::State::foreign:
      return "foreign";
    case Standing::State::missing:
      return "missing";
    case Standing::State::dropping:
      return "dropping";
    case Standing::State::unavailable:
      return "unavailable";
    case Standing::State::broken:
      break;
  }
  return "broken";
}

Json plan_json(const FleetPlan& plan) {
  Json groups = Json::array();
  for (const FleetPlan::Group& group : plan.groups) {
    Json json;
    json["state"] = state_text(group.state);
    json["from"] = group.work.plan.from.head;
    json["to"] = group.work.plan.to.head;
    json["steps"] = Json::array();
    for (const Step& step : group.work.plan.steps) {
      Json entry;
      entry["kind"] = kind_text(step.kind);
      if (step.revision != nullptr) {
        entry["revision"] = step.revision->title();
        entry["checksum"] = step.revision->checksum;
        entry["transaction"] = step.in_transaction();
        entry["repeatable"] = step.revision->is_repeatable();
      }
      if (const std::size_t forgotten = step.forgotten_repeatables(); forgotten > 0) {
        entry["forgets"] = forgotten;
      }
      json["steps"].push_back(entry);
    }
    if (group.problem) {
      json["problem"] = failure_json(*group.problem);
    }
    json["schemas"] = group.schemas;
    groups.push_back(json);
  }
  return groups;
}

}  // namespace

Json counts_json(const std::array<std::size_t, result_count>& counts) {
  Json json;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    json[std::string(to_text(static_cast<Result>(i)))] = counts.at(i);
  }
  return json;
}

Json schema_json(const SchemaReport& schema, const RevisionFolder& folder) {
  Json json;
  json["schema"] = schema.schema;
  json["result"] = to_text(schema.result);
  json["from"] = revision_text(folder, schema.from);
  json["revision"] = revision_text(folder, schema.revision);
  json["steps"] = schema.steps;
  json["repeatables"] = schema.repeatables;
  json["tries"] = schema.tries;
  json["duration_ms"] = schema.duration.count();
  if (schema.failure != nullptr) {
    json["failure"] = failure_json(*schema.failure);
  }
  if (schema.blocker != nullptr) {
    json["blocker"] = blocker_json(*schema.blocker);
  }
  return json;
}

Json causes_json(const Report& report) {
  Json json = Json::array();
  for (const Cause& cause : causes_of(report)) {
    Json entry;
    entry["result"] = to_text(cause.example->result);
    if (cause.example->failure != nullptr) {
      entry["failure"] = failure_json(*cause.example->failure);
    }
    entry["schemas"] = cause.schemas();
    json.push_back(entry);
  }
  return json;
}

std::string json_text(const Json& json) {
  // Server texts may be in any encoding; a document must be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

void write_json_run(std::ostream& out, const RunResult& result) {
  Json json = json_document(result.command);
  json["run_id"] = result.run_id;
  json["target"] = result.target;
  if (!result.of_run.empty()) {
    json["of_run"] = result.of_run;
  }
  json["recorded"] = result.recorded;
  if (!result.not_recorded.empty()) {
    json["not_recorded"] = result.not_recorded;
  }
  if (!result.outside.empty()) {
    json["not_in_plan"] = result.outside;
  }
  ObjectWriter document(out);
  document.add_members(json);
  for (const ScopeResult& scope : scopes_of(result)) {
    write_report(document.object(scope.scope == Scope::shared ? "shared" : "tenants"),
                 *scope.report, *scope.folder);
  }
  document.finish();
}

std::string json_plan(const PlanResult& result) {
  Json json = json_document(result.command);
  json["dry_run"] = true;
  json["target"] = result.target;
  if (result.shared != nullptr) {
    json["shared"] = plan_json(*result.shared);
  }
  if (result.tenants != nullptr) {
    json["tenants"] = plan_json(*result.tenants);
  }
  return json_text(json);
}

std::string json_sql(std::string_view command, std::string_view target, std::string_view sql) {
  Json json = json_document(command);
  json["target"] = target;
  json["sql"] = sql;
  return json_text(json);
}

std::string json_status(std::string_view command, const std::vector<StatusResult>& scopes,
                        const std::vector<TenantMove>& moves) {
  Json json = json_document(command);
  json["scopes"] = Json::array();
  for (const StatusResult& scope : scopes) {
    Json entry;
    entry["scope"] = to_text(scope.scope);
    entry["head"] = scope.head;
    entry["revisions"] = scope.revisions;
    entry["repeatables"] = scope.repeatables;
    entry["groups"] = Json::array();
    for (const StatusResult::Group& group : scope.groups) {
      Json one;
      one["state"] = state_text(group.state);
      one["revision"] = group.revision;
      one["behind"] = group.behind;
      one["repeatables"] = group.repeatables;
      if (!group.note.empty()) {
        one["note"] = group.note;
      }
      one["schemas"] = group.schemas;
      entry["groups"].push_back(one);
    }
    json["scopes"].push_back(entry);
  }
  for (const TenantMove& move : moves) {
    Json one{{"tenant", move.slug}};
    one.update(move_json(move));
    json["moves"].push_back(std::move(one));
  }
  return json_text(json);
}

std::string json_error(std::string_view kind, const Error& error) {
  Json json = json_document("error");
  Json body;
  body["kind"] = kind;
  body["message"] = error.what();
  if (!error.hint().empty()) {
    body["hint"] = error.hint();
  }
  if (error.place()) {
    body["place"] = place_json(*error.place());
  }
  json["error"] = body;
  return json_text(json);
}

}  // namespace tenantctl
