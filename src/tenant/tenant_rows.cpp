#include "tenant/tenant_rows.h"

#include <fmt/format.h>

#include <utility>

#include "base/number.h"

namespace tenantctl {
namespace {

constexpr std::string_view iso = "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'";

RegisteredTenant tenant_of(const pq::Row& row) {
  RegisteredTenant tenant;
  tenant.id = row.text(0);
  tenant.slug = row.text(1);
  tenant.name = row.text(2);
  tenant.tier = row.text(3);
  tenant.isolation = row.text(4);
  tenant.schema = row.text(5);
  tenant.database = row.text(6);
  tenant.cluster = row.text(7);
  tenant.state = row.text(8);
  tenant.runtime_role = row.text(9);
  tenant.metadata = row.text(10);
  tenant.state_since = row.text(11);
  tenant.created_at = row.text(12);
  tenant.is_being_made = row.text(13) == "t";
  tenant.is_kept = row.text(14) == "t";
  tenant.state_age = number_of<std::int64_t>(row.text(15));
  tenant.renaming = row.text(16);
  return tenant;
}

}  // namespace

std::string is_being_made() {
  return fmt::format(
      "(t.state = 'provisioning' AND EXISTS (SELECT FROM pg_catalog.pg_locks h "
      "WHERE h.locktype = 'advisory' AND h.objsubid = 2 AND h.classid::pg_catalog.int8 = {} "
      "AND h.objid::pg_catalog.int8 = ('x' || COALESCE(pg_catalog.substring("
      "t.metadata #>> '{{tenantctl,run}}', '^[0-9a-f]{{8}}'), '0'))::pg_catalog.bit(32)"
      "::pg_catalog.int8 "
      "AND h.pid <> pg_catalog.pg_backend_pid() AND h.database = (SELECT d.oid "
      "FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())))",
      run_lock_class);
}

pq::Message read_tenants(std::string_view table, const std::string& condition,
                         std::vector<std::optional<std::string>> values,
                         std::vector<RegisteredTenant>& tenants) {
  return {.sql = fmt::format(
              "SELECT t.id, t.slug, t.name, t.tier, t.isolation, t.schema_name, t.database_name, "
              "t.cluster, t.state, t.runtime_role, t.metadata, "
              "pg_catalog.to_char(t.state_since AT TIME ZONE 'UTC', {0}), "
              "pg_catalog.to_char(t.created_at AT TIME ZONE 'UTC', {0}), {1}, "
              "(t.state = 'deleting' AND t.metadata #>> '{{tenantctl,before}}' IS NOT NULL), "
              "pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - t.state_since)"
              "::pg_catalog.int8, t.metadata #>> '{{tenantctl,renaming}}' FROM tenantctl.{2} t {3} "
              "ORDER BY t.slug COLLATE pg_catalog.\"C\"",
              iso, is_being_made(), table, condition),
          .values = std::move(values),
          .on_row = [&tenants](const pq::Row& row) { tenants.push_back(tenant_of(row)); }};
}

}  // namespace tenantctl
