#include "tenant/schema_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view why, const std::string& hint) {
  throw UsageError(
      fmt::format("schema name \"{}\" {}", escaped_name(without_credentials(text)), why), hint);
}

bool is_plain(std::string_view text) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto plain = [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; };
  return lower(text.front()) && std::all_of(text.begin(), text.end(), plain);
}

}  // namespace

SchemaName SchemaName::existing(std::string_view text) {
  if (text.empty()) {
    refuse(text, "is empty", "Name a schema.");
  }
  if (text.find('\0') != std::string_view::npos || invalid_utf8(text)) {
    refuse(text, "is not valid UTF-8 text", "PostgreSQL cannot hold such a name.");
  }
  if (text.size() > max_bytes) {
    refuse(
        text, fmt::format("has {} bytes", text.size()),
        fmt::format("PostgreSQL keeps {} and cuts the rest without an error; use a shorter name.",
                    max_bytes));
  }
  const std::string lower = lowered(text);
  if (lower.starts_with(dropped_prefix)) {
    refuse(text, "is reserved",
           "It is a dropped tenant's: tenantctl tenant undrop brings it back.");
  }
  if (lower.starts_with("pg_") || lower == "information_schema" || lower == "tenantctl") {
    refuse(text, "is reserved", "Names beginning with pg_, information_schema and tenantctl are.");
  }
  return SchemaName(text);
}

SchemaName SchemaName::create(std::string_view text) {
  SchemaName name = existing(text);
  if (text == "public") {
    refuse(text, "is reserved", "Unqualified names of every session end there: use another name.");
  }
  if (!is_plain(text)) {
    refuse(text, "is not a plain name",
           "A new schema's name begins with a letter a-z and goes on with a-z, 0-9 and _.");
  }
  return name;
}

std::string SchemaName::quoted() const { return quote_identifier(text_); }

}  // namespace tenantctl
