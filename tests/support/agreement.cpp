#include "support/agreement.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <utility>

namespace tenantctl::testing {
namespace {

using Json = nlohmann::json;

/// Of one scope, by result; none with zero.
using Counts = std::map<std::string, long>;

constexpr auto lines_name = "agreement.jsonl";
constexpr auto junit_name = "agreement.xml";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Counts counts_of(const Json& json) {
  Counts counts;
  for (const auto& [name, count] : json.items()) {
    if (count.get<long>() > 0)
      counts[name] = count;
  }
  return counts;
}

std::string told(const std::string& who, const Counts& counts) {
  std::string text = who + ":";
  for (const auto& [name, count] : counts)
    text += " " + name + " " + std::to_string(count);
  return text + "\n";
}

// Each schema is a suite with its scope and its result as properties.
Counts counts_of_junit(const std::string& text, const std::string& scope) {
  static const std::regex properties(
      R"re(<property name="scope" value="(\w+)"/><property name="result" value="([\w-]+)"/>)re");
  Counts counts;
  for (std::sregex_iterator at(text.begin(), text.end(), properties), end; at != end; ++at) {
    if ((*at)[1] == scope)
      ++counts[(*at)[2]];
  }
  return counts;
}

// `tenants  43 applied, 5 unchanged (48 schemas in 1.2 s)`, where there is such a line.
bool read_text(const std::string& out, Counts& counts) {
  static const std::regex line(R"((?:^|\n)tenants  (\d[^(\n]*) \()");
  static const std::regex part(R"((\d+) ([a-z-]+))");
  std::smatch found;
  if (!std::regex_search(out, found, line))
    return false;
  const std::string parts = found[1];
  for (std::sregex_iterator at(parts.begin(), parts.end(), part), end; at != end; ++at)
    counts[(*at)[2]] = std::stol((*at)[1]);
  return true;
}

Json ledger_of(TestDatabase& database, const std::string& run_id) {
  if (database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'tenantctl' "
                     "AND tablename = 'run'") == "0")
    return nullptr;
  const auto rows =
      database.rows("SELECT counts::text FROM tenantctl.run WHERE id = '" + run_id + "'");
  return rows.empty() || rows[0][0].empty() ? Json() : Json::parse(rows[0][0]);
}

}  // namespace

Agreement::Agreement(std::filesystem::path folder)
    : lines_(folder / lines_name), junit_(folder / junit_name) {}

std::vector<std::string> Agreement::reporting(std::vector<std::string> args) const {
  static const std::set<std::string> rollouts{"upgrade",       "upgrade-all", "downgrade",
                                              "downgrade-all", "retry",       "undo"};
  std::filesystem::remove(lines_);
  std::filesystem::remove(junit_);
  if (!args.empty() && rollouts.contains(args[0]) &&
      std::find(args.begin(), args.end(), "--report") == args.end()) {
    args.insert(args.begin() + 1, {"--report", lines_name, "--report", junit_name});
  }
  return args;
}

std::string Agreement::disagreement(const Finished& finished, TestDatabase& database) const {
  std::vector<Json> events;
  std::istringstream lines(text_of(lines_));
  for (std::string line; std::getline(lines, line);)
    events.push_back(Json::parse(line));
  if (events.size() < 2 || events.back()["event"] != "run-ended")
    return "";
  const std::string junit = text_of(junit_);
  const Json ledger = ledger_of(database, events.front()["run_id"]);
  const Json printed = Json::parse(finished.out, nullptr, false);
  std::string faults;
  for (const std::string scope : {"shared", "tenant"}) {
    const std::string part = scope == "shared" ? "shared" : "tenants";
    if (!events.back().contains(part))
      continue;
    const Counts expected = counts_of(events.back()[part]["counts"]);
    std::map<std::string, Counts> others;
    for (const Json& event : events) {
      if (event["event"] == "schema-finished" && event["scope"] == scope)
        ++others["JSON lines, schema by schema"][event["result"]];
    }
    others["JSON lines, schema by schema"];
    others["JUnit"] = counts_of_junit(junit, scope);
    if (printed.is_object()) {
      others["JSON"] = counts_of(printed[part]["counts"]);
      for (const Json& schema : printed[part]["schemas"])
        ++others["JSON, schema by schema"][schema["result"]];
    } else if (Counts counts; scope == "tenant" && read_text(finished.out, counts)) {
      others["text"] = counts;
    }
    if (ledger.is_object() && ledger.contains(part))
      others["ledger"] = counts_of(ledger[part]);
    for (const auto& [who, counts] : others) {
      if (counts != expected)
        faults += told("JSON lines", expected) + told(who, counts);
    }
  }
  return faults;
}

}  // namespace tenantctl::testing
