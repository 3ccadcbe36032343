#include "output/json_writer.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using nlohmann::json;

namespace {

const RevisionFolder& json_folder() {
  static const RevisionFolder folder = folder_of({1, 2});
  return folder;
}

SchemaReport schema(std::string name, Result result) {
  SchemaReport report;
  report.schema = std::move(name);
  report.result = result;
  report.revision = 2;
  report.steps = 1;
  report.duration = std::chrono::milliseconds(12);
  return report;
}

Failure failure(const std::string& message) {
  return {.message = message,
          .hint = "Do this.",
          .sqlstate = "42P01",
          .revision = "0002_r2",
          .place = Place{.file = "b.sql", .line = 3, .column = 0, .text = "x"}};
}

json run_json(const Report* tenants, const Report* shared = nullptr) {
  RunResult result;
  result.command = "upgrade-all";
  result.run_id = "run";
  result.target = "head";
  result.shared = shared;
  result.tenants = tenants;
  result.shared_folder = &json_folder();
  result.tenant_folder = &json_folder();
  std::ostringstream out;
  write_json_run(out, result);
  const std::string text = out.str();
  CHECK_FALSE(invalid_utf8(text));
  return json::parse(text);
}

}  // namespace

TEST_SUITE("output/json_writer") {
  TEST_CASE("a run's document has its head, counts and every schema") {
    Report report;
    report.duration = std::chrono::milliseconds(1'500);
    report.schemas.push_back(schema("a", Result::applied));
    report.schemas.push_back(schema("b", Result::unchanged));
    const json document = run_json(&report);
    CHECK(document["format_version"] == 1);
    CHECK(document["command"] == "upgrade-all");
    CHECK(document["run_id"] == "run");
    CHECK_FALSE(document.contains("shared"));
    const json& tenants = document["tenants"];
    CHECK(tenants["counts"].size() == result_count);
    CHECK(tenants["counts"]["applied"] == 1);
    CHECK(tenants["counts"]["failed"] == 0);
    CHECK(tenants["duration_ms"] == 1'500);
    CHECK(tenants["interrupted"] == false);
    CHECK_FALSE(tenants.contains("stopped_by"));
    REQUIRE(tenants["schemas"].size() == 2);
    CHECK(tenants["schemas"][0]["schema"] == "a");
    CHECK(tenants["schemas"][0]["result"] == "applied");
    CHECK(tenants["schemas"][0]["revision"] == "0002_r2");
    CHECK(tenants["causes"].empty());
  }

  TEST_CASE("a failure is told by schema and by cause") {
    Report report;
    report.stopped_by = "disk full";
    for (const std::string name : {"a", "b"}) {
      report.schemas.push_back(schema(name, Result::failed));
      report.schemas.back().failure = std::make_unique<Failure>(failure("no table"));
    }
    report.schemas.push_back(schema("c", Result::missing));
    const json shared = run_json(nullptr, &report)["shared"];
    CHECK(shared["stopped_by"] == "disk full");
    const json& one = shared["schemas"][0]["failure"];
    CHECK(one["message"] == "no table");
    CHECK(one["sqlstate"] == "42P01");
    CHECK(one["revision"] == "0002_r2");
    CHECK(one["hint"] == "Do this.");
    CHECK(one["place"] == json{{"file", "b.sql"}, {"line", 3}});
    REQUIRE(shared["causes"].size() == 2);
    CHECK(shared["causes"][0]["schemas"] == json{"a", "b"});
    CHECK_FALSE(shared["causes"][1].contains("failure"));
  }

  TEST_CASE("a document is valid UTF-8 whatever the server said") {
    Report report;
    report.schemas.push_back(schema("a\xFF", Result::failed));
    report.schemas.back().failure = std::make_unique<Failure>(failure("caf\xE9 \xC3 \xED\xA0\x80"));
    const json document = run_json(&report);
    CHECK(document["tenants"]["schemas"][0]["schema"] == "a\xEF\xBF\xBD");
    CHECK(document["tenants"]["schemas"][0]["failure"]["message"].get<std::string>().starts_with(
        "caf\xEF\xBF\xBD"));
  }

  TEST_CASE("an error is a document of its own") {
    std::ostringstream out;
    std::ostringstream err;
    const Place place{.file = "a.sql", .line = 1, .column = 2, .text = "x"};
    write_error(out, err, Format::json, "usage", UsageError("bad \xFF", "Mend it.", place));
    const json error = json::parse(out.str())["error"];
    CHECK(error["kind"] == "usage");
    CHECK(error["message"] == "bad \xEF\xBF\xBD");
    CHECK(error["hint"] == "Mend it.");
    CHECK(error["place"]["column"] == 2);
    CHECK(err.str().starts_with("tenantctl: bad \\xff\n"));
    CHECK_FALSE(json::parse(json_error("internal", Error("x")))["error"].contains("hint"));
  }

  TEST_CASE("a plan has its groups with steps or a problem") {
    FleetPlan plan;
    FleetPlan::Group steps;
    steps.work.plan = plan_upgrade(json_folder(), {}, Target::head(),
                                   {.allow_out_of_order = false, .missing = Missing::schema});
    steps.state = Standing::State::missing;
    steps.schemas = {"a"};
    plan.groups.push_back(steps);
    FleetPlan::Group problem;
    problem.state = Standing::State::foreign;
    problem.problem = failure("not ours");
    problem.schemas = {"b"};
    plan.groups.push_back(problem);
    PlanResult result;
    result.command = "upgrade-all";
    result.target = "head";
    result.shared = &plan;
    result.tenants = &plan;
    const json document = json::parse(json_plan(result));
    CHECK(document["dry_run"] == true);
    CHECK(document["shared"] == document["tenants"]);
    const json& group = document["tenants"][0];
    CHECK(group["state"] == "missing");
    REQUIRE(group["steps"].size() == 2);
    CHECK(group["steps"][0]["kind"] == "upgrade");
    CHECK(group["steps"][0]["revision"] == "0001_r1");
    CHECK(group["steps"][0]["transaction"] == true);
    CHECK(document["tenants"][1]["problem"]["message"] == "not ours");
  }

  TEST_CASE("every kind of step has a word") {
    const auto kind = [](Plan plan) {
      FleetPlan fleet;
      FleetPlan::Group group;
      group.work.plan = std::move(plan);
      fleet.groups.push_back(std::move(group));
      PlanResult result;
      result.tenants = &fleet;
      return json::parse(json_plan(result))["tenants"][0]["steps"][0]["kind"].get<std::string>();
    };
    CHECK(kind(plan_upgrade(RevisionFolder(), {}, Target::head(),
                            {.allow_out_of_order = false, .missing = Missing::table})) ==
          "install");
    CHECK(kind(plan_downgrade(json_folder(), history_of(json_folder(), 1),
                              Target::parse("base"))) == "downgrade");
    CHECK(kind(plan_remark(json_folder(), {})) == "record");
  }

  TEST_CASE("SQL is one string of a document") {
    const json document = json::parse(json_sql("upgrade", "head", "SELECT '\xFF';\n"));
    CHECK(document["command"] == "upgrade");
    CHECK(document["target"] == "head");
    CHECK(document["sql"] == "SELECT '\xEF\xBF\xBD';\n");
  }

  TEST_CASE("status has every state by name") {
    StatusResult scope;
    scope.head = "0002_r2";
    scope.revisions = 2;
    const std::vector<std::pair<Standing::State, std::string>> states{
        {Standing::State::marked, "marked"},   {Standing::State::unmarked, "unmarked"},
        {Standing::State::bare, "bare"},       {Standing::State::foreign, "foreign"},
        {Standing::State::missing, "missing"}, {Standing::State::dropping, "dropping"},
        {Standing::State::broken, "broken"}};
    for (const auto& [state, name] : states) {
      scope.groups.push_back(
          {.state = state, .revision = "base", .behind = 2, .note = name, .schemas = {"a"}});
    }
    scope.groups.front().note.clear();
    std::ostringstream out;
    write_status(out, Format::json, "check", {scope}, false);
    const json document = json::parse(out.str());
    CHECK(document["command"] == "check");
    const json& groups = document["scopes"][0]["groups"];
    REQUIRE(groups.size() == states.size());
    for (std::size_t i = 0; i < states.size(); ++i)
      CHECK(groups[i]["state"] == states[i].second);
    CHECK_FALSE(groups[0].contains("note"));
    CHECK(groups[1]["note"] == "unmarked");
  }
}
