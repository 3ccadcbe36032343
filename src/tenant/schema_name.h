#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tenantctl {

/// The name of a schema, checked so that what is asked for is what the server uses: PostgreSQL cuts
/// names at 63 bytes with only a NOTICE, and two tenants equal up to there would share one schema.
/// Always quoted when it is sent. A value; compares by bytes.
class SchemaName {
 public:
  static constexpr std::size_t max_bytes = 63;

  /// A schema that exists already, under whatever rule it was named: refuses what cannot be a
  /// schema name (empty, over 63 bytes, NUL, invalid UTF-8) and the reserved ones (`pg_...` in any
  /// case, `information_schema`, the tool's own `tenantctl`). Throws UsageError.
  static SchemaName existing(std::string_view text);

  /// A schema that is to be created: besides, only `[a-z][a-z0-9_]*`, so that no two tenants differ
  /// by case or look alike and every client can name it unquoted, and not `public`.
  static SchemaName create(std::string_view text);

  /// What a dropped tenant's schema is called until it is purged: `tenantctl_dropped_` and its oid.
  /// No tenant may be called so, and the fleet does not have it.
  static constexpr std::string_view dropped_prefix = "tenantctl_dropped_";
  static SchemaName dropped(std::string_view text) { return SchemaName(text); }

  const std::string& text() const { return text_; }
  std::string quoted() const;

  auto operator<=>(const SchemaName&) const = default;

 private:
  explicit SchemaName(std::string_view text) : text_(text) {}

  std::string text_;
};

}  // namespace tenantctl
