#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "revision/revision_folder.h"
#include "rollout/report.h"

namespace tenantctl {

/// The head that every document has.
inline nlohmann::ordered_json json_document(std::string_view command) {
  nlohmann::ordered_json json;
  json["format_version"] = 1;
  json["command"] = command;
  return json;
}

/// Parts that documents and report lines share.
nlohmann::ordered_json schema_json(const SchemaReport& schema, const RevisionFolder& folder);
nlohmann::ordered_json counts_json(const std::array<std::size_t, result_count>& counts);
nlohmann::ordered_json causes_json(const Report& report);

/// As text: indented, valid UTF-8 whatever the values held.
std::string json_text(const nlohmann::ordered_json& json);

}  // namespace tenantctl
