#include "tenant/tenant_registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "pq/transaction.h"
#include "tenant/registry_component.h"

namespace tenantctl {
namespace {

// As PostgreSQL writes an array of text, every element quoted.
std::string array_of(const std::vector<std::string>& texts) {
  std::string array = "{";
  for (const std::string& text : texts) {
    array += array.size() > 1 ? ",\"" : "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        array += '\\';
      }
      array += c;
    }
    array += '"';
  }
  return array + "}";
}

}  // namespace

bool TenantRegistry::is_slug(std::string_view text) {
  constexpr std::size_t most = 63;
  return !text.empty() && text.size() <= most && text.front() >= 'a' && text.front() <= 'z' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

Installed TenantRegistry::install() { return components_.install(registry_component()); }

bool TenantRegistry::is_installed() { return components_.version_of(registry_component()) > 0; }

std::vector<std::string> TenantRegistry::adopt(const std::vector<std::string>& schemas) {
  std::vector<std::string> adopted;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
              "SELECT w.name, w.name, 'schema', w.name, 'ready' "
              "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS w (name) "
              "WHERE NOT EXISTS (SELECT FROM tenantctl.tenant t WHERE t.isolation = 'schema' "
              "AND t.schema_name = w.name AND t.database_name IS NULL AND t.cluster IS NULL) "
              "ON CONFLICT DO NOTHING RETURNING schema_name",
       .values = {array_of(schemas)},
       .on_row = [&adopted](const pq::Row& row) { adopted.emplace_back(row.text(0)); }});
  components_.write(registry_component(), std::move(messages));
  std::sort(adopted.begin(), adopted.end());
  return adopted;
}

std::vector<std::string> TenantRegistry::registered(const std::vector<std::string>& schemas) {
  std::vector<std::string> names;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT t.schema_name FROM tenantctl.tenant t WHERE t.isolation = 'schema' "
              "AND t.schema_name = ANY ($1::pg_catalog.text[]) AND t.database_name IS NULL "
              "AND t.cluster IS NULL ORDER BY t.schema_name COLLATE pg_catalog.\"C\"",
       .values = {array_of(schemas)},
       .on_row = [&names](const pq::Row& row) { names.emplace_back(row.text(0)); }});
  components_.read(registry_component(), std::move(messages));
  return names;
}

}  // namespace tenantctl
