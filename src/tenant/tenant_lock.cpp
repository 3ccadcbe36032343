#include "tenant/tenant_lock.h"

#include <fmt/format.h>

namespace tenantctl {
namespace {

// Advisory lock class; the second key is made of the tenant's id.
constexpr int tenant_lock_class = 1952670775;
constexpr std::string_view lock_refused = "tenant-is-locked";

}  // namespace

pq::Message TenantLock::try_session(const std::string& tenant_id, bool& is_locked) {
  return {.sql = fmt::format("SELECT pg_catalog.pg_try_advisory_lock({}, pg_catalog.hashtext($1))",
                             tenant_lock_class),
          .values = {tenant_id},
          .on_row = [&is_locked](const pq::Row& row) { is_locked = row.text(0) == "t"; }};
}

pq::Message TenantLock::probe(const std::string& tenant_id, bool& is_free) {
  return {
      .sql = fmt::format("SELECT pg_catalog.pg_try_advisory_xact_lock({}, pg_catalog.hashtext($1))",
                         tenant_lock_class),
      .values = {tenant_id},
      .on_row = [&is_free](const pq::Row& row) { is_free = row.text(0) == "t"; }};
}

pq::Message TenantLock::hold(const std::string& tenant_id) {
  return {.sql = fmt::format("SELECT (CASE WHEN pg_catalog.pg_try_advisory_xact_lock({}, "
                             "pg_catalog.hashtext($1)) THEN '0' ELSE '{}' END)::pg_catalog.int4",
                             tenant_lock_class, lock_refused),
          .values = {tenant_id}};
}

bool TenantLock::is_refusal(const pq::ServerFields& fields) {
  constexpr std::string_view bad_text = "22P02";
  return fields.is(bad_text) && fields.message.find(lock_refused) != std::string::npos;
}

}  // namespace tenantctl
