#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tenantctl {

/// The head that every document has.
inline nlohmann::ordered_json json_document(std::string_view command) {
  nlohmann::ordered_json json;
  json["format_version"] = 1;
  json["command"] = command;
  return json;
}

/// As text: indented, valid UTF-8 whatever the values held.
std::string json_text(const nlohmann::ordered_json& json);

}  // namespace tenantctl
