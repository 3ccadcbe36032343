#include "support/json_schema.h"

#include <filesystem>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "support/process.h"

namespace tenantctl::testing {
namespace {

// Debian's package belongs to Debian's interpreter; the one in PATH may be another.
std::string interpreter() {
  constexpr auto debian = "/usr/bin/python3";
  return std::filesystem::exists(debian) ? debian : "python3";
}

// Python's JSON reader lets NaN and repeated names pass; programs that read our output may not.
constexpr auto program = R"python(
import json, sys
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import validator_for

def refuse(name):
    raise ValueError(f"{name} is not JSON")

def unique(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands twice in an object")
    return dict(pairs)

def judge_of(path):
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    judge = validator_for(schema, default=Draft202012Validator)
    judge.check_schema(schema)
    return judge(schema, format_checker=FormatChecker())

def faults(text, judge):
    try:
        document = json.loads(text.decode("utf-8"),
                              parse_constant=refuse, object_pairs_hook=unique)
    except ValueError as error:
        return [f"not JSON: {error}"]
    found = sorted(judge.iter_errors(document), key=lambda fault: fault.json_path)
    return [f"{fault.json_path}: {fault.message}" for fault in found]

judges = {}
for line in sys.stdin.buffer:
    path, size = json.loads(line)
    text = sys.stdin.buffer.read(size)
    if path not in judges:
        judges[path] = judge_of(path)
    for fault in faults(text, judges[path]):
        print(fault)
)python";

}  // namespace

std::string schema_errors(const std::string& document, const std::filesystem::path& schema) {
  return schema_errors({Judged{.document = document, .schema = schema}});
}

// Each document follows a line with its schema and its length in bytes.
std::string schema_errors(const std::vector<Judged>& documents) {
  std::string input;
  for (const auto& [document, schema] : documents) {
    const nlohmann::json head{schema.string(), document.size()};
    input += head.dump() + "\n" + document;
  }
  const auto judge = run_process({interpreter(), "-c", program},
                                 {.environment = {{"PYTHONIOENCODING", "utf-8"}}, .input = input});
  if (judge.exit_code != 0)
    throw std::runtime_error("cannot judge: " + judge.err);
  return judge.out;
}

}  // namespace tenantctl::testing
