#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tenantctl::testing {

/// Judges a JSON document by the JSON Schema (draft 2020-12 unless it names another) in a file.
/// Returns "" if it fits, otherwise a line for each fault: where in the document, and what. A
/// document that is not JSON is a fault too.
///
/// Runs python3 with the package jsonschema. Throws std::runtime_error if that is not there, or if
/// the schema is no schema.
std::string schema_errors(const std::string& document, const std::filesystem::path& schema);

/// The same for many documents, each by its own schema, in one run of the interpreter.
struct Judged {
  std::string document;
  std::filesystem::path schema;
};
std::string schema_errors(const std::vector<Judged>& documents);

}  // namespace tenantctl::testing
