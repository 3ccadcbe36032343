#pragma once

#include <optional>
#include <string_view>

namespace tenantctl {

/// Which of the two histories a revision belongs to: `shared` is applied once, to the shared
/// schema; `tenant` to the schema of every tenant.
enum class Scope { shared, tenant };

constexpr std::string_view to_text(Scope scope) {
  return scope == Scope::shared ? "shared" : "tenant";
}

constexpr std::optional<Scope> scope_from_text(std::string_view text) {
  if (text == "shared") {
    return Scope::shared;
  }
  if (text == "tenant") {
    return Scope::tenant;
  }
  return std::nullopt;
}

}  // namespace tenantctl
