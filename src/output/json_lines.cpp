#include "output/json_lines.h"

#include <fmt/chrono.h>

#include <ostream>
#include <string>
#include <unordered_set>

#include "output/json_document.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)), milliseconds);
}

Json event(std::string_view name) {
  Json json;
  json["event"] = name;
  json["at"] = now_text();
  return json;
}

void write_line(std::ostream& out, const Json& json) {
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" << std::flush;
}

}  // namespace

class JsonLines::ScopeLines : public Observer {
 public:
  ScopeLines(std::ostream& out, Scope scope, const RevisionFolder* folder)
      : out_(out), scope_(scope), folder_(folder) {}

  void started(const Progress& progress) override { write_wave(progress); }
  void finished(const SchemaReport& schema, const Progress& progress) override {
    write_wave(progress);
    write(schema);
  }
  void tick(const Progress& progress) override { write_wave(progress); }
  void ended(const Report& /*report*/) override {}

  void write_missing(const Report& report) {
    for (const SchemaReport& schema : report.schemas) {
      if (!written_.contains(schema.schema)) {
        write(schema);
      }
    }
  }

 private:
  void write(const SchemaReport& schema) {
    Json json = event("schema-finished");
    json["scope"] = to_text(scope_);
    json.update(schema_json(schema, *folder_));
    write_line(out_, json);
    written_.insert(schema.schema);
  }

  void write_wave(const Progress& progress) {
    if (progress.waves < 2 || progress.wave == wave_) {
      return;
    }
    wave_ = progress.wave;
    Json json = event("wave-started");
    json["scope"] = to_text(scope_);
    json["wave"] = progress.wave;
    json["waves"] = progress.waves;
    write_line(out_, json);
  }

  std::ostream& out_;
  Scope scope_;
  const RevisionFolder* folder_;
  std::unordered_set<std::string> written_;
  std::size_t wave_ = 0;
};

JsonLines::JsonLines(std::ostream& out) : out_(out) {}

// The error's own message goes to standard error.
JsonLines::~JsonLines() {
  if (!ended_) {
    write_line(out_, event("run-aborted"));
  }
}

void JsonLines::begin(const RunResult& head) {
  shared_ = std::make_unique<ScopeLines>(out_, Scope::shared, head.shared_folder);
  tenants_ = std::make_unique<ScopeLines>(out_, Scope::tenant, head.tenant_folder);
  Json json = event("run-started");
  json["format_version"] = 1;
  json["tool_version"] = TENANTCTL_VERSION;
  json["command"] = head.command;
  json["run_id"] = head.run_id;
  json["target"] = head.target;
  if (head.shared_plan != nullptr) {
    json["shared"] = head.shared_plan->schema_count();
  }
  if (head.tenant_plan != nullptr) {
    json["tenants"] = head.tenant_plan->schema_count();
  }
  write_line(out_, json);
}

Observer& JsonLines::of(Scope scope) { return lines_of(scope); }

void JsonLines::end(const RunResult& result, int exit_code) {
  Json json = event("run-ended");
  json["exit_code"] = exit_code;
  for (const ScopeResult& scope : scopes_of(result)) {
    lines_of(scope.scope).write_missing(*scope.report);
    Json part;
    part["counts"] = counts_json(scope.report->counts());
    part["retried"] = retried_of(*scope.report).size();
    part["duration_ms"] = scope.report->duration.count();
    part["interrupted"] = scope.report->interrupted;
    if (scope.report->appeared > 0) {
      part["appeared"] = scope.report->appeared;
    }
    if (!scope.report->stopped_by.empty()) {
      part["stopped_by"] = scope.report->stopped_by;
    }
    json[scope.scope == Scope::shared ? "shared" : "tenants"] = part;
  }
  ended_ = true;
  json["at"] = now_text();
  write_line(out_, json);
}

}  // namespace tenantctl
