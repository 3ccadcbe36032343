#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "output/github.h"
#include "output/json_lines.h"
#include "output/junit_writer.h"
#include "output/markdown_writer.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using nlohmann::json;

namespace {

const RevisionFolder& report_folder() {
  static const RevisionFolder folder = folder_of({1, 2, 3});
  return folder;
}

SchemaReport reported_schema(const std::string& name, Result result, RevisionNumber from = 0,
                             RevisionNumber revision = 0, std::uint32_t steps = 0) {
  SchemaReport report;
  report.schema = name;
  report.result = result;
  report.from = from;
  report.revision = revision;
  report.steps = steps;
  report.duration = std::chrono::milliseconds(1'500);
  return report;
}

SchemaReport failed(const std::string& name, const std::string& revision,
                    Result result = Result::failed) {
  SchemaReport report = reported_schema(name, result, 1, 1);
  report.failure = std::make_unique<Failure>();
  report.failure->message = "upgrade of revision " + revision + " failed: \"x\" < `y` & |z|\x1b";
  report.failure->sqlstate = "42P01";
  report.failure->revision = revision;
  report.failure->hint = "Mend: it, 100%.";
  report.failure->place =
      Place{.file = "m/0002_r2.sql", .line = 4, .column = 8, .text = "SELECT x"};
  return report;
}

RunResult result_of(const Report& tenants, const FleetPlan* plan = nullptr) {
  RunResult result;
  result.command = "upgrade-all";
  result.run_id = "some-id";
  result.target = "head";
  result.tenants = &tenants;
  result.shared_folder = &report_folder();
  result.tenant_folder = &report_folder();
  result.tenant_plan = plan;
  return result;
}

// All at revision 1, to be brought to 3.
FleetPlan plan_for(const std::vector<std::string>& schemas) {
  FleetPlan plan;
  FleetPlan::Group group;
  group.work.plan = plan_upgrade(report_folder(), history_of(report_folder(), 1), Target::head());
  group.schemas = schemas;
  plan.groups.push_back(std::move(group));
  return plan;
}

std::string junit(const RunResult& result) {
  std::ostringstream out;
  write_junit(out, result);
  return out.str();
}

// The test cases of a document's first suite: `0002_r2 passed`.
std::vector<std::string> cases_of(const std::string& xml) {
  std::vector<std::string> cases;
  std::istringstream lines(xml.substr(0, xml.find("</testsuite>")));
  for (std::string line; std::getline(lines, line);) {
    const auto name = line.find("\" name=\"");
    if (line.find("<testcase") != std::string::npos) {
      cases.push_back(line.substr(name + 8, line.find('"', name + 8) - name - 8));
      cases.back() += line.ends_with("/>") ? " passed" : "";
    } else if (line.find("<failure") != std::string::npos) {
      cases.back() += " failed";
    } else if (line.find("<skipped") != std::string::npos) {
      cases.back() += " skipped";
    }
  }
  return cases;
}

std::vector<std::string> cases_of(SchemaReport one, const FleetPlan* plan = nullptr) {
  Report report;
  report.schemas.push_back(std::move(one));
  return cases_of(junit(result_of(report, plan)));
}

using Cases = std::vector<std::string>;

}  // namespace

TEST_SUITE("output/junit_writer") {
  TEST_CASE("a schema's cases are its plan's revisions: passed, failed, not run") {
    const FleetPlan plan = plan_for({"a", "b"});
    CHECK(cases_of(reported_schema("a", Result::applied, 1, 3, 2), &plan) ==
          Cases{"0002_r2 passed", "0003_r3 passed"});
    CHECK(cases_of(failed("b", "0002_r2"), &plan) == Cases{"0002_r2 failed", "0003_r3 skipped"});
    CHECK(cases_of(reported_schema("b", Result::not_started, 1, 1), &plan) ==
          Cases{"0002_r2 skipped", "0003_r3 skipped"});
    SchemaReport second = failed("b", "0003_r3");
    second.steps = 1;
    second.revision = 2;
    CHECK(cases_of(std::move(second), &plan) == Cases{"0002_r2 passed", "0003_r3 failed"});
    SchemaReport busy = failed("a", "", Result::busy);
    CHECK(cases_of(std::move(busy), &plan) == Cases{"0002_r2 failed", "0003_r3 skipped"});
    CHECK(cases_of(reported_schema("a", Result::interrupted, 1, 2, 1), &plan) ==
          Cases{"0002_r2 passed", "0003_r3 skipped"});
  }

  TEST_CASE("a schema without a revision to run has one case, called like its result") {
    CHECK(cases_of(reported_schema("a", Result::unchanged, 3, 3)) == Cases{"unchanged passed"});
    CHECK(cases_of(reported_schema("a", Result::missing)) == Cases{"missing failed"});
    CHECK(cases_of(reported_schema("a", Result::gone)) == Cases{"gone skipped"});
    CHECK(cases_of(failed("a", "", Result::foreign)) == Cases{"foreign failed"});
  }

  TEST_CASE("where the plan did not lead, the folder tells what lies between") {
    const FleetPlan plan = plan_for({"a"});
    // Somebody else's run did revision 2 meanwhile.
    CHECK(cases_of(reported_schema("a", Result::applied, 1, 3, 1), &plan) ==
          Cases{"0002_r2 passed", "0003_r3 passed"});
    CHECK(cases_of(reported_schema("new", Result::applied, 0, 2, 2), &plan) ==
          Cases{"0001_r1 passed", "0002_r2 passed"});
    CHECK(cases_of(reported_schema("back", Result::applied, 3, 1, 2)) ==
          Cases{"0003_r3 passed", "0002_r2 passed"});
    SchemaReport one = failed("new", "0003_r3");
    one.revision = 2;
    CHECK(cases_of(std::move(one), &plan) == Cases{"0002_r2 passed", "0003_r3 failed"});
  }

  TEST_CASE("totals, result, place, SQLSTATE and time stand where readers look for them") {
    const FleetPlan plan = plan_for({"a", "b"});
    Report report;
    report.duration = std::chrono::milliseconds(2'000);
    report.schemas.push_back(reported_schema("a", Result::applied, 1, 3, 2));
    report.schemas.push_back(failed("b\"<", "0002_r2"));
    const std::string xml = junit(result_of(report, &plan));
    CHECK(xml.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites name=\"tenantctl upgrade-all\" tests=\"3\" failures=\"1\" errors=\"0\" "
        "skipped=\"0\" time=\"2.000\">\n"
        "  <testsuite name=\"a\" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\" "
        "time=\"1.500\">\n"));
    CHECK(xml.find("<property name=\"result\" value=\"failed\"/>") != std::string::npos);
    CHECK(
        xml.find("classname=\"tenant.b&quot;&lt;\" name=\"0002_r2\" time=\"1.500\">\n"
                 "      <failure message=\"upgrade of revision 0002_r2 failed: &quot;x&quot; &lt; "
                 "`y` &amp; |z|\\x1b\" type=\"42P01\">") != std::string::npos);
    CHECK(xml.find("SQLSTATE 42P01\nm/0002_r2.sql:4:8\n  SELECT x\n") != std::string::npos);
    CHECK(xml.ends_with("</testsuites>\n"));
  }

  TEST_CASE("what XML cannot hold is escaped") {
    CHECK(xml_text("a<b>&\"\x01\xff") == "a&lt;b&gt;&amp;&quot;\\x01\\xff");
    CHECK(xml_text("\xEF\xBF\xBF|\xEF\xBF\xBE") == "?|?");
  }
}

TEST_SUITE("output/json_lines") {
  std::vector<json> events(const std::string& text) {
    std::vector<json> events;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      events.push_back(json::parse(line));
    return events;
  }

  TEST_CASE("each event is a whole line as soon as it happens") {
    const FleetPlan plan = plan_for({"a", "b"});
    Report report;
    report.schemas.push_back(reported_schema("a", Result::applied, 1, 3, 2));
    report.schemas.push_back(reported_schema("b", Result::missing));
    std::ostringstream out;
    JsonLines lines(out);
    lines.begin(result_of(report, &plan));
    CHECK(events(out.str()).back()["event"] == "run-started");
    CHECK(events(out.str()).back()["tenants"] == 2);
    lines.of(Scope::tenant).finished(report.schemas.front(), Progress());
    const json first = events(out.str()).back();
    CHECK(first["event"] == "schema-finished");
    CHECK(first["scope"] == "tenant");
    CHECK(first["from"] == "0001_r1");
    CHECK(first["revision"] == "0003_r3");
    lines.end(result_of(report), 1);
    const auto all = events(out.str());
    REQUIRE(all.size() == 4);
    CHECK(all[2]["schema"] == "b");
    CHECK(all[3]["event"] == "run-ended");
    CHECK(all[3]["exit_code"] == 1);
    CHECK(all[3]["tenants"]["counts"]["missing"] == 1);
    CHECK(all[3]["tenants"]["counts"].size() == result_count);
  }

  TEST_CASE("a wave is told once") {
    const Report report;
    std::ostringstream out;
    JsonLines lines(out);
    lines.begin(result_of(report));
    Progress progress;
    progress.waves = 2;
    lines.of(Scope::tenant).started(progress);
    lines.of(Scope::tenant).tick(progress);
    progress.wave = 2;
    lines.of(Scope::tenant).tick(progress);
    lines.of(Scope::tenant).tick(progress);
    lines.end(result_of(report), 0);
    const auto all = events(out.str());
    REQUIRE(all.size() == 4);
    CHECK(all[1]["event"] == "wave-started");
    CHECK(all[2]["wave"] == 2);
  }

  TEST_CASE("a run that an error ended says so in its last line") {
    std::ostringstream out;
    { const JsonLines lines(out); }
    CHECK(events(out.str()).at(0)["event"] == "run-aborted");
  }
}

TEST_SUITE("output/markdown_writer") {
  TEST_CASE("server texts stay code, in a table too") {
    CHECK(markdown_code("a") == "`a`");
    CHECK(markdown_code("a`b") == "``a`b``");
    CHECK(markdown_code("`a|b") == "`` `a\\|b ``");
    CHECK(markdown_code("a\nb\x1b") == "`a b\\x1b`");
    CHECK(markdown_code("") == "`  `");
  }

  TEST_CASE("counts, causes and names are told, and bounded") {
    Report report;
    for (int i = 0; i < 5'000; ++i)
      report.schemas.push_back(failed(fmt::format("t{:04}", i), "0002_r2"));
    report.schemas.push_back(reported_schema("u", Result::unchanged, 3, 3));
    std::ostringstream out;
    write_markdown(out, result_of(report));
    const std::string text = out.str();
    CHECK(text.starts_with("## tenantctl upgrade-all `head`: failed\n"));
    CHECK(text.find("| tenant | failed | 5000 |\n| tenant | **all** | **5001** |\n") !=
          std::string::npos);
    CHECK(text.find("### tenant scope: 5000 schemas with problems, 1 cause\n") !=
          std::string::npos);
    CHECK(text.find("`t0019` and 4980 more\n") != std::string::npos);
    CHECK(text.size() < 2'000);
  }
}

TEST_SUITE("output/github") {
  TEST_CASE("a cause is an annotation at its place, escaped as GitHub wants it") {
    Report report;
    report.schemas.push_back(failed("a", "0002_r2"));
    report.schemas.push_back(failed("b", "0002_r2"));
    std::ostringstream out;
    write_annotations(out, result_of(report), "/repo", "/repo/app:1");
    CHECK(out.str() ==
          "::error file=app%3A1/m/0002_r2.sql,line=4,col=8,title=tenantctl%3A 2 schemas failed::"
          "upgrade of revision 0002_r2 failed: \"x\" < `y` & |z|\\x1b (SQLSTATE 42P01)%0A"
          "HINT: Mend: it, 100%25.%0Aa, b\n");
  }

  TEST_CASE("there are at most ten, and nothing in them begins a command of its own") {
    Report report;
    for (int i = 0; i < 50; ++i)
      report.schemas.push_back(failed(fmt::format("t{}", i), fmt::format("{}\n::error::x", i)));
    std::ostringstream out;
    write_annotations(out, result_of(report), "/repo", "/elsewhere");
    std::istringstream lines(out.str());
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count)
      CHECK(line.starts_with("::error file=/elsewhere/m/0002_r2.sql,line=4,"));
    CHECK(count == 10);
  }

  TEST_CASE("an error that ended a command is one too") {
    std::ostringstream out;
    write_annotation(out, UsageError("bad", "Mend it."), "/repo", "/repo");
    CHECK(out.str() == "::error title=tenantctl::bad%0AHINT: Mend it.\n");
  }
}
