#include "support/json_schema.h"

#include <filesystem>
#include <stdexcept>
#include <string>

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

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
judge = validator_for(schema, default=Draft202012Validator)
judge.check_schema(schema)
try:
    document = json.loads(sys.stdin.buffer.read().decode("utf-8"),
                          parse_constant=refuse, object_pairs_hook=unique)
except ValueError as error:
    print(f"not JSON: {error}")
    sys.exit()
faults = judge(schema, format_checker=FormatChecker()).iter_errors(document)
for fault in sorted(faults, key=lambda fault: fault.json_path):
    print(f"{fault.json_path}: {fault.message}")
)python";

}  // namespace

std::string schema_errors(const std::string& document, const std::filesystem::path& schema) {
  const auto judge =
      run_process({interpreter(), "-c", program, schema.string()},
                  {.environment = {{"PYTHONIOENCODING", "utf-8"}}, .input = document});
  if (judge.exit_code != 0) {
    throw std::runtime_error("cannot judge by " + schema.string() + ": " + judge.err);
  }
  return judge.out;
}

}  // namespace tenantctl::testing
