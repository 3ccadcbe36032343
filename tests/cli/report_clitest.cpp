#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;

namespace {

using Counts = std::map<std::string, int>;

// 60 tenants, 12 of them broken in three ways, 5 at head already, 3 schemas without a version table
// and a name without a schema, as the application's own table tells them.
struct ReportedFleet : Project {
  ReportedFleet() {
    write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    const auto names = create_tenants(60);
    write("tenant/0002_unique.sql", "CREATE UNIQUE INDEX a_id ON a (id);", "DROP INDEX a_id;");
    write("tenant/0003_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    write("tenant/0004_c.sql", "CREATE TABLE c (id int);", "DROP TABLE c;");
    must({"upgrade", "--schema", "t056", "--schema", "t057", "--schema", "t058", "--schema", "t059",
          "--schema", "t060"});
    std::string sql = "CREATE TABLE public.customers (schema text);";
    for (std::size_t i = 0; i < names.size(); ++i) {
      sql += "INSERT INTO public.customers VALUES ('" + names[i] + "');";
      if (i < 7)
        sql += "INSERT INTO " + names[i] + ".a VALUES (1), (1);";
      else if (i < 11)
        sql += "CREATE TABLE " + names[i] + ".b (id int);";
      else if (i < 12)
        sql += "CREATE VIEW " + names[i] + ".c AS SELECT 1;";
    }
    for (const std::string bare : {"u1", "u2", "u3"})
      sql += "CREATE SCHEMA " + bare + "; INSERT INTO public.customers VALUES ('" + bare + "');";
    database.execute(sql + "INSERT INTO public.customers VALUES ('nobody')");
    tool.set_variable("TENANTCTL_TENANTS_QUERY", "SELECT schema FROM public.customers");
  }
};

Counts without_zeros(const nlohmann::json& json) {
  Counts counts;
  for (const auto& [name, count] : json.items()) {
    if (count.get<int>() > 0)
      counts[name] = count;
  }
  return counts;
}

// `tenants  43 applied, 5 unchanged (48 schemas in 1.2 s)`
Counts counts_of_text(const std::string& out) {
  Counts counts;
  const auto begin = out.find("tenants  ");
  const auto line = out.substr(begin, out.find(" (", begin) - begin).substr(9);
  std::istringstream parts(line);
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream words(part);
    int count = 0;
    std::string name;
    words >> count >> name;
    counts[name] = count;
  }
  return counts;
}

std::vector<nlohmann::json> events_of(const std::string& text) {
  std::vector<nlohmann::json> events;
  for (const auto& line : lines_of(text))
    events.push_back(nlohmann::json::parse(line));
  return events;
}

Counts counts_of_events(const std::vector<nlohmann::json>& events) {
  Counts counts;
  for (const auto& event : events) {
    if (event["event"] == "schema-finished" && event["scope"] == "tenant")
      ++counts[event["result"]];
  }
  return counts;
}

// The document's own totals and, by the properties of its suites, the tenants' results: read by a
// real XML parser.
std::string read_junit(const std::filesystem::path& file) {
  const std::string program = R"(
import sys, collections, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
cases = root.findall('testsuite/testcase')
told = [int(root.get(name)) for name in ('tests', 'failures', 'skipped')]
found = [len(cases)] + [len(root.findall('testsuite/testcase/' + tag)) for tag in ('failure', 'skipped')]
assert told == found, (told, found)
for suite in root.findall('testsuite'):
    assert int(suite.get('tests')) == len(suite.findall('testcase')) > 0, suite.get('name')
results = collections.Counter()
for suite in root.findall('testsuite'):
    values = {one.get('name'): one.get('value') for one in suite.findall('properties/property')}
    if values['scope'] == 'tenant':
        results[values['result']] += 1
print(told[0], told[1], told[2])
print(' '.join(f'{name} {count}' for name, count in sorted(results.items())))
)";
  const auto read = run_process({"python3", "-c", program, file.string()});
  CHECK(fault(read, 0) == "");
  return read.out;
}

Counts counts_of_words(const std::string& line) {
  Counts counts;
  std::istringstream words(line);
  std::string name;
  for (int count = 0; words >> name >> count;)
    counts[name] = count;
  return counts;
}

// `| tenant | failed | 12 |`
Counts counts_of_markdown(const std::string& text) {
  Counts counts;
  for (const auto& line : lines_of(text)) {
    std::istringstream cells(line);
    std::string bar, scope, result, count;
    cells >> bar >> scope >> bar >> result >> bar >> count;
    if (line.starts_with("| tenant ") && result != "**all**")
      counts[result] = std::stoi(count);
  }
  return counts;
}

}  // namespace

TEST_SUITE("cli/report") {
  TEST_CASE("text, JSON, JSON lines, JUnit and Markdown tell the same counts") {
    const Counts expected{
        {"applied", 43}, {"unchanged", 5}, {"failed", 12}, {"unmarked", 3}, {"missing", 1}};
    std::map<bool, Counts> totals;
    for (const bool as_json : {false, true}) {
      ReportedFleet project;
      const auto run =
          project.run({"upgrade-all", "--output", as_json ? "json" : "text", "--report", "r.jsonl",
                       "--report", "r.xml", "--report", "r.md"});
      CHECK(run.exit_code == 1);
      if (as_json) {
        const auto tenants = nlohmann::json::parse(run.out)["tenants"];
        CHECK(without_zeros(tenants["counts"]) == expected);
        CHECK(tenants["schemas"].size() == 64);
        CHECK(tenants["causes"].size() == 5);
        CHECK(schema_errors(run.out, source_folder() / "tests/schemas/upgrade-all.schema.json") ==
              "");
      } else {
        CHECK(counts_of_text(run.out) == expected);
        CHECK(contains(run.err, "16 of 64 schemas with problems, 5 causes"));
      }
      const auto folder = project.tool.folder().path();
      const auto events = events_of(text_of(folder / "r.jsonl"));
      CHECK(counts_of_events(events) == expected);
      CHECK(without_zeros(events.back()["tenants"]["counts"]) == expected);
      CHECK(without_zeros(events.back()["shared"]["counts"]) == Counts{{"applied", 1}});
      CHECK(events.back()["exit_code"] == 1);
      CHECK(counts_of_markdown(text_of(folder / "r.md")) == expected);

      const auto read = lines_of(read_junit(folder / "r.xml"));
      REQUIRE(read.size() == 2);
      CHECK(counts_of_words(read[1]) == expected);
      // Shared 1; 55 behind with three revisions each; one each for the unchanged and the refused.
      // Failed: 12 and 4. Behind the failure: two for 7 tenants, one for 4.
      CHECK(read[0] == "175 16 18");
    }
  }

  TEST_CASE("the shared scope comes first in every file, and what never started is reported") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.must({"downgrade-all", "0002", "--yes"});
    project.write("shared/0001_bad.sql", "SELECT nothing FROM nowhere;");
    const auto run = project.run(
        {"upgrade-all", "--report", "r.jsonl", "--report", "r.xml", "--report", "r.md"});
    CHECK(fault(run, 1, {"2 not-started"}) == "");
    const auto folder = project.tool.folder().path();
    const auto events = events_of(text_of(folder / "r.jsonl"));
    REQUIRE(events.size() == 5);
    CHECK(events[1]["scope"] == "shared");
    CHECK(events[1]["failure"]["sqlstate"] == "42P01");
    CHECK(events[3]["result"] == "not-started");
    const std::string xml = text_of(folder / "r.xml");
    CHECK(xml.find("\"shared.shared\" name=\"0001_bad\"") <
          xml.find("\"tenant.t001\" name=\"0003_c\""));
    CHECK(lines_of(read_junit(folder / "r.xml"))[0] == "3 1 2");
    CHECK(contains(text_of(folder / "r.md"), "| tenant | not-started | 2 |"));
  }

  TEST_CASE("JSON lines stand in the file while the run goes on") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_slow.sql",
                  "SELECT pg_sleep(CASE :'schema' WHEN 't002' THEN 60 ELSE 0 END);");
    auto process = project.tool.start({"upgrade-all", "--jobs", "2", "--report", "r.jsonl"});
    const auto file = project.tool.folder().path() / "r.jsonl";
    std::string text;
    for (int tries = 0; tries < 1'000 && !contains(text, "schema-finished"); ++tries) {
      project.database.value("SELECT pg_sleep(0.02)");
      text = text_of(file);
    }
    REQUIRE(lines_of(text).size() == 2);
    CHECK(events_of(text)[1]["schema"] == "t001");
    process.kill(SIGINT);
    CHECK(process.wait(std::chrono::seconds(20)).exit_code == 130);
    const auto events = events_of(text_of(file));
    CHECK(events.back()["event"] == "run-ended");
    CHECK(events.back()["exit_code"] == 130);
    CHECK(events.back()["tenants"]["interrupted"] == true);
    CHECK(counts_of_events(events) == Counts{{"applied", 1}, {"interrupted", 1}});
  }

  TEST_CASE("a report that cannot be written is a mistake before anything is touched") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    CHECK(fault(project.run({"upgrade-all", "--report", "no/such/r.xml"}), 2,
                {"cannot write the report no/such/r.xml: No such file", "HINT: "}) == "");
    CHECK(fault(project.run({"upgrade-all", "--report", "r.txt"}), 2,
                {"--report r.txt: its ending tells no format", ".jsonl"}) == "");
    CHECK(fault(project.run({"upgrade-all", "--report", "r.md", "--report", "./r.md"}), 2,
                {"is given twice"}) == "");
    CHECK(project.revision_of("t001") == "base");
  }

  TEST_CASE("a dry run leaves no report, an aborted one says so") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    const auto folder = project.tool.folder().path();
    CHECK(fault(project.run({"upgrade-all", "--dry-run", "--report", "r.xml"}), 0) == "");
    CHECK_FALSE(std::filesystem::exists(folder / "r.xml"));
    CHECK(fault(project.run({"upgrade-all", "--database-url", unreachable_url, "--report", "r.xml",
                             "--report", "r.jsonl", "--report", "r.md"}),
                3) == "");
    CHECK(contains(text_of(folder / "r.xml"), "<error message=\"the run ended before its report"));
    CHECK(run_process({"python3", "-c", "import sys, xml.dom.minidom as d; d.parse(sys.argv[1])",
                       (folder / "r.xml").string()})
              .exit_code == 0);
    CHECK(contains(text_of(folder / "r.jsonl"), "run-aborted"));
    CHECK(contains(text_of(folder / "r.md"), "ended by an error"));
  }

  TEST_CASE("every command that migrates writes reports") {
    Project project;
    project.write_abc();
    const auto reported = [&](std::vector<std::string> args) {
      args.insert(args.end(), {"--report", "r.xml"});
      CHECK(fault(project.run(args), 0) == "");
      return lines_of(read_junit(project.tool.folder().path() / "r.xml"))[0];
    };
    CHECK(reported({"tenant", "create", "t1", "t2"}) == "6 0 0");
    CHECK(reported({"downgrade", "0001", "--schema", "t1", "--yes"}) == "2 0 0");
    CHECK(reported({"upgrade", "--schema", "t1"}) == "2 0 0");
    CHECK(reported({"downgrade-all", "0002", "--yes"}) == "2 0 0");
    CHECK(reported({"stamp", "head", "--all"}) == "2 0 0");
  }

  TEST_CASE("in GitHub Actions summary and annotations appear by themselves") {
    Project project;
    project.create_tenants(3);
    project.write("tenant/0001_bad.sql", "SELECT 1,\n  nothing FROM nowhere;");
    const auto folder = project.tool.folder().path();
    project.tool.set_variable("GITHUB_ACTIONS", "true");
    project.tool.set_variable("GITHUB_WORKSPACE", folder.string());
    project.tool.set_variable("GITHUB_STEP_SUMMARY", (folder / "summary").string());
    std::ofstream(folder / "summary") << "before\n";
    const auto run = project.run({"upgrade-all", "--output", "json"});
    CHECK(nlohmann::json::accept(run.out));
    CHECK(fault(run, 1,
                {"::error file=migrations/tenant/versions/0001_bad.sql,line=3,col=",
                 ",title=tenantctl%3A 3 schemas failed::upgrade of revision 0001_bad failed"}) ==
          "");
    CHECK(text_of(folder / "summary").starts_with("before\n## tenantctl upgrade-all"));
    CHECK(contains(text_of(folder / "summary"), "| tenant | failed | 3 |"));

    project.write("tenant/0001_bad.sql", "SELECT 1;");
    CHECK_FALSE(contains(project.run({"upgrade-all"}).err, "::error"));
    project.write_raw("tenant/0002_none.sql", "no marker\n");
    CHECK(fault(project.run({"upgrade-all"}), 2, {"\n::error "}) == "");
    project.tool.set_variable("GITHUB_STEP_SUMMARY", "/no/such/file");
    project.remove("tenant/0002_none.sql");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"warning: cannot write the step's summary"}) ==
          "");
  }
}
