#include "migrate/seed_table.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "pq/transaction.h"
#include "tenant/fleet.h"
#include "tenant/fleet_roles.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

SeedTable::Found look_at(pq::Pipeline& pipeline, const SeedTable& table, pq::Deadline deadline) {
  SeedTable::Found found = SeedTable::Found::none;
  std::vector<pq::Message> messages;
  messages.push_back(table.look(found));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return found;
}

}  // namespace

SeedTable::SeedTable(SchemaName schema, TableOptions options)
    : schema_(std::move(schema)),
      options_(std::move(options)),
      name_(seed_table_name(options_.name)),
      table_(schema_.quoted() + "." + quote_identifier(name_)) {
  if (name_.size() > SchemaName::max_bytes) {
    throw UsageError(fmt::format("the table for seeds would be called {}: longer than {} bytes",
                                 escaped_name(name_), SchemaName::max_bytes),
                     "PostgreSQL would cut it; use a shorter --version-table.");
  }
}

pq::Message SeedTable::look(Found& found) const {
  return {.sql = fmt::format("SELECT {} FROM pg_catalog.pg_class c "
                             "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                             "WHERE n.nspname = $1 AND c.relname = $2",
                             ownership_condition(options_.owners, Lookup::one)),
          .values = {schema_.text(), name_},
          .on_row = [&found](const pq::Row& row) {
            found = row.text(0) == "t" ? Found::ours : Found::foreign;
          }};
}

std::vector<pq::Message> SeedTable::create(std::vector<std::string>& grantees) const {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("CREATE TABLE {} (\n"
                          "  tenant text NOT NULL,\n"
                          "  name text NOT NULL,\n"
                          "  checksum text NOT NULL,\n"
                          "  xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),\n"
                          "  applied_at timestamptz NOT NULL DEFAULT "
                          "pg_catalog.clock_timestamp(),\n"
                          "  applied_by text NOT NULL DEFAULT SESSION_USER,\n"
                          "  run_id uuid,\n"
                          "  tool_version text NOT NULL,\n"
                          "  PRIMARY KEY (tenant, name)\n"
                          ")",
                          table_)});
  messages.push_back(
      {.sql = "SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE "
              "pg_catalog.quote_ident(r.rolname) END FROM pg_catalog.pg_class c "
              "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "CROSS JOIN pg_catalog.aclexplode(c.relacl) a "
              "LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee "
              "WHERE n.nspname = $1 AND c.relname = $2 AND a.grantee <> c.relowner",
       .values = {schema_.text(), name_},
       .on_row = [&grantees](const pq::Row& row) { grantees.emplace_back(row.text(0)); }});
  return messages;
}

std::vector<pq::Message> SeedTable::settle(const std::vector<std::string>& grantees) const {
  std::vector<pq::Message> messages;
  for (const std::string& grantee : grantees) {
    messages.push_back({.sql = fmt::format("REVOKE ALL ON TABLE {} FROM {}", table_, grantee)});
  }
  if (!options_.readers.empty()) {
    messages.push_back({.sql = grant_reading(options_.readers, schema_.text(), name_)});
  }
  return messages;
}

pq::Message SeedTable::read(const std::string& tenant, std::vector<AppliedSeed>& seeds) const {
  return {.sql = fmt::format("SELECT s.name, s.checksum, pg_catalog.to_char(s.applied_at AT TIME "
                             "ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), s.applied_by "
                             "FROM ONLY {} s WHERE s.tenant OPERATOR(pg_catalog.=) $1 "
                             "ORDER BY s.name COLLATE pg_catalog.\"C\"",
                             table_),
          .values = {tenant},
          .on_row = [&seeds](const pq::Row& row) {
            seeds.push_back({.name = std::string(row.text(0)),
                             .checksum = std::string(row.text(1)),
                             .applied_at = std::string(row.text(2)),
                             .applied_by = std::string(row.text(3))});
          }};
}

pq::Message SeedTable::insert(const std::string& tenant, const Revision& seed) const {
  return {.sql = fmt::format("INSERT INTO {} (tenant, name, checksum, run_id, tool_version) VALUES "
                             "($1, $2, $3, $4, $5)",
                             table_),
          .values = {tenant, seed.title(), seed.checksum, options_.run_id, options_.tool_version}};
}

pq::Message SeedTable::insert(const std::string& tenant, const AppliedSeed& seed) const {
  return {
      .sql = fmt::format("INSERT INTO {} (tenant, name, checksum, applied_at, applied_by, run_id, "
                         "tool_version) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                         table_),
      .values = {tenant, seed.name, seed.checksum, seed.applied_at, seed.applied_by,
                 options_.run_id, options_.tool_version}};
}

pq::Message SeedTable::untouched(const std::string& tenant, const Revision& seed) const {
  return {.sql = fmt::format(
              "SELECT (CASE WHEN EXISTS (SELECT FROM ONLY {} s "
              "WHERE s.tenant OPERATOR(pg_catalog.=) $1 AND s.name OPERATOR(pg_catalog.=) $2 "
              "AND s.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()) THEN '0' "
              "ELSE 'tenantctl {}: its own text ended its transaction, or removed its record' END)"
              "::pg_catalog.int4",
              table_, refusal::escaped),
          .values = {tenant, seed.title()}};
}

pq::Message SeedTable::forget(const std::string& tenant) const {
  return {
      .sql = fmt::format("DELETE FROM ONLY {} s WHERE s.tenant OPERATOR(pg_catalog.=) $1", table_),
      .values = {tenant}};
}

std::vector<AppliedSeed> read_seeds(pq::Pipeline& pipeline, const SeedTable& table,
                                    const std::string& tenant, pq::Deadline deadline) {
  std::vector<AppliedSeed> seeds;
  if (look_at(pipeline, table, deadline) != SeedTable::Found::ours) {
    return seeds;
  }
  std::vector<pq::Message> messages;
  messages.push_back(table.read(tenant, seeds));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return seeds;
}

void forget_seeds(pq::Pipeline& pipeline, const SeedTable& table, const std::string& tenant,
                  pq::Deadline deadline) {
  switch (look_at(pipeline, table, deadline)) {
    case SeedTable::Found::none:
      return;
    case SeedTable::Found::foreign:
      throw Error(fmt::format("table {} is not ours alone: what it says of seeds stays",
                              escaped_name(table.name())),
                  "Look at its owner, at triggers and rules; --owner names roles to trust.");
    case SeedTable::Found::ours:
      break;
  }
  std::vector<pq::Message> messages;
  messages.push_back(table.forget(tenant));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_write, deadline);
}

}  // namespace tenantctl
