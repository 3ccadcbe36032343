#include "migrate/copy_script.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checksum.h"
#include "base/text.h"
#include "migrate/version_table.h"
#include "tenant/fleet_roles.h"

namespace tenantctl {
namespace {

// Of psql's lines with what it was asked for; the dump's own SELECTs print others.
constexpr std::string_view line_start = "tenantctl-text\t";

// No tenant may be called so, hence no dump's schema is.
std::string parking_name(const std::string& schema) {
  constexpr std::size_t most = 16;
  return fmt::format("tenantctl_dropped_parked_{}", sha256_hex(schema).substr(0, most));
}

std::string rename(const std::string& from, const std::string& to) {
  return fmt::format("ALTER SCHEMA {} RENAME TO {};\n", quote_identifier(from),
                     quote_identifier(to));
}

std::string act_as(const std::string& role) {
  return role.empty() ? "" : fmt::format("SET LOCAL ROLE {};\n", quote_identifier(role));
}

}  // namespace

std::string CopyScript::before() const {
  std::string sql =
      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n"
      "SELECT pg_catalog.set_config('statement_timeout', '0', true), "
      "pg_catalog.set_config('lock_timeout', '10s', true), "
      "pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true), "
      "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
      "pg_catalog.set_config('standard_conforming_strings', 'on', true), "
      "pg_catalog.set_config('synchronous_commit', 'on', true), "
      "pg_catalog.set_config('client_min_messages', 'warning', true);\n"
      "SELECT pg_catalog.set_config(s.name, '0', true) FROM pg_catalog.pg_settings s "
      "WHERE s.name = 'transaction_timeout';\n";
  sql += act_as(role);
  if (collides) {
    sql += rename(from, parking_name(from));
  }
  return sql;
}

std::string CopyScript::after() const {
  // The dump has set its own path, empty.
  std::string sql =
      "\nRESET SESSION AUTHORIZATION;\n"
      "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n" +
      act_as(role);
  sql += fmt::format(
      "SELECT (CASE WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n "
      "ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND c.relkind = 'r' "
      "AND obj_description(c.oid, 'pg_class') IS NOT DISTINCT FROM {}) THEN '0' "
      "ELSE 'tenantctl {}: the version table is not as it was' END)::int4;\n",
      quote_literal(from), quote_literal(version_table),
      mark.empty() ? "NULL" : quote_literal(mark), refusal::moved);
  if (!readers.empty()) {
    sql += grant_reading(readers, from, version_table) + ";\n";
  }
  if (from == to) {
    return sql + "COMMIT;\n";
  }
  sql += rename(from, to);
  if (collides) {
    sql += rename(parking_name(from), from);
  }
  const std::string query = stored_texts_query(
      {.old_name = from, .schema = to, .shared_schema = to, .server_version = server_version});
  // Functions elsewhere that name the tenant that stays are none of the copy's business.
  const std::string own = fmt::format(
      "SELECT f.kind, f.name FROM ({}) f WHERE f.kind NOT IN ('role', 'database') "
      "AND starts_with(f.name, quote_ident({}) || '.')",
      query, quote_literal(to));
  sql += fmt::format("SELECT 'tenantctl-text', f.kind, f.name FROM ({}) f;\n", own);
  if (!forces) {
    sql += fmt::format(
        "SELECT (CASE WHEN NOT EXISTS ({}) THEN '0' ELSE 'tenantctl {}: texts name the schema' "
        "END)::int4;\n",
        own, refusal::named);
  }
  return sql + "COMMIT;\n";
}

std::vector<StoredText> CopyScript::texts_in(std::string_view output) {
  std::vector<StoredText> texts;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    const std::size_t tab = line.find('\t', line_start.size());
    if (line.starts_with(line_start) && tab != std::string_view::npos) {
      texts.push_back({.kind = std::string(line.substr(line_start.size(), tab - line_start.size())),
                       .name = std::string(line.substr(tab + 1))});
    }
  }
  return texts;
}

}  // namespace tenantctl
