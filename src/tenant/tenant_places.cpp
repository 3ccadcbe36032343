#include "tenant/tenant_places.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "tenant/registry_component.h"

namespace tenantctl {

std::vector<TenantPlace> TenantPlaces::all() {
  std::vector<TenantPlace> places;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT p.schema_name, p.purpose, p.state, p.runtime_role FROM tenantctl.place p "
              "ORDER BY p.schema_name COLLATE pg_catalog.\"C\"",
       .on_row = [&places](const pq::Row& row) {
         places.push_back({.schema = std::string(row.text(0)),
                           .purpose = row.text(1) == "rows" ? TenantPlace::Purpose::rows
                                                            : TenantPlace::Purpose::pool,
                           .is_ready = row.text(2) == "ready",
                           .runtime_role = std::string(row.text(3))});
       }});
  components_.read(registry_component(), std::move(messages));
  return places;
}

void TenantPlaces::begin_home(const std::string& schema) {
  bool is_home = false;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.place AS p (schema_name, purpose) SELECT $1::pg_catalog.text, "
              "'rows' WHERE NOT EXISTS (SELECT FROM tenantctl.tenant t "
              "WHERE t.isolation = 'schema' AND t.schema_name = $1 AND t.database_name IS NULL "
              "AND t.cluster IS NULL) ON CONFLICT (schema_name) DO UPDATE SET state = p.state "
              "WHERE p.purpose = 'rows' RETURNING p.schema_name",
       .values = {schema},
       .on_row = [&is_home](const pq::Row& /*row*/) { is_home = true; }});
  components_.write(registry_component(), std::move(messages));
  if (!is_home) {
    throw UsageError(
        fmt::format("{} cannot be a home of shared rows: a tenant has it for itself", schema),
        "Name another schema with --home.");
  }
}

void TenantPlaces::finish_home(const std::string& schema) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.place SET state = 'ready' WHERE schema_name = $1 "
                             "AND purpose = 'rows'",
                      .values = {schema}});
  components_.write(registry_component(), std::move(messages));
}

bool TenantPlaces::close_home(const std::string& schema) {
  bool is_closed = false;
  std::vector<pq::Message> messages;
  // Whoever is being registered there keeps the row until the tenant can be seen.
  messages.push_back({.sql = "SELECT FROM tenantctl.place p WHERE p.schema_name = $1 FOR UPDATE",
                      .values = {schema}});
  messages.push_back(
      {.sql = "UPDATE tenantctl.place p SET state = 'provisioning' WHERE p.schema_name = $1 "
              "AND p.purpose = 'rows' AND NOT EXISTS (SELECT FROM tenantctl.tenant t "
              "WHERE t.isolation = 'rows' AND t.schema_name = $1 AND t.database_name IS NULL "
              "AND t.cluster IS NULL) RETURNING p.schema_name",
       .values = {schema},
       .on_row = [&is_closed](const pq::Row& /*row*/) { is_closed = true; }});
  components_.write(registry_component(), std::move(messages));
  return is_closed;
}

void TenantPlaces::forget_home(const std::string& schema) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "DELETE FROM tenantctl.place WHERE schema_name = $1 "
                             "AND purpose = 'rows' AND state = 'provisioning'",
                      .values = {schema}});
  components_.write(registry_component(), std::move(messages));
}

void TenantPlaces::begin_pool(const std::vector<TenantPlace>& places) {
  std::vector<std::string> schemas;
  std::vector<std::string> roles;
  for (const TenantPlace& place : places) {
    schemas.push_back(place.schema);
    roles.push_back(place.runtime_role);
  }
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.place (schema_name, purpose, runtime_role) SELECT w.name, "
              "'pool', NULLIF(w.role, '') FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]),"
              " pg_catalog.unnest($2::pg_catalog.text[])) AS w (name, role) ON CONFLICT DO NOTHING",
       .values = {array_of(schemas), array_of(roles)}});
  components_.write(registry_component(), std::move(messages));
}

void TenantPlaces::finish_pool(const std::vector<std::string>& schemas) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.place SET state = 'ready' WHERE purpose = 'pool' "
                             "AND schema_name = ANY ($1::pg_catalog.text[])",
                      .values = {array_of(schemas)}});
  components_.write(registry_component(), std::move(messages));
}

std::vector<std::string> TenantPlaces::withdraw(std::size_t count) {
  return withdraw_where("ORDER BY p.created_at DESC, p.schema_name DESC LIMIT $1",
                        fmt::to_string(count));
}

std::vector<std::string> TenantPlaces::withdraw(const std::vector<std::string>& schemas) {
  return withdraw_where("AND p.schema_name = ANY ($1::pg_catalog.text[])", array_of(schemas));
}

std::vector<std::string> TenantPlaces::withdraw_where(const std::string& which,
                                                      const std::string& value) {
  std::vector<std::string> schemas;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format(
           "UPDATE tenantctl.place SET state = 'provisioning' WHERE schema_name IN (SELECT "
           "p.schema_name FROM tenantctl.place p WHERE p.purpose = 'pool' AND p.state = 'ready' "
           "{} FOR UPDATE SKIP LOCKED) RETURNING schema_name",
           which),
       .values = {value},
       .on_row = [&schemas](const pq::Row& row) { schemas.emplace_back(row.text(0)); }});
  components_.write(registry_component(), std::move(messages));
  return schemas;
}

void TenantPlaces::forget_pool(const std::vector<std::string>& schemas) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "DELETE FROM tenantctl.place WHERE purpose = 'pool' "
                             "AND state = 'provisioning' "
                             "AND schema_name = ANY ($1::pg_catalog.text[])",
                      .values = {array_of(schemas)}});
  components_.write(registry_component(), std::move(messages));
}

}  // namespace tenantctl
