#include "rollout/ledger_tables.h"

#include <fmt/format.h>

#include "base/text.h"
#include "pq/transaction.h"
#include "tenant/fleet.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

constexpr auto write_patience = 10s;
constexpr std::string_view version_prefix = "tenantctl ledger ";
constexpr int version = 1;

// What the ledger's own check raises; class TC is nobody else's.
constexpr std::string_view absent = "TC011";
constexpr std::string_view foreign = "TC012";
constexpr std::string_view newer = "TC013";

std::string raise(std::string_view sqlstate, std::string_view message) {
  return fmt::format("RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = {};", sqlstate,
                     quote_literal(message));
}

std::string roles(const std::vector<std::string>& owners) {
  std::string text = "CURRENT_USER::pg_catalog.text";
  for (const std::string& owner : owners) {
    text += ", " + quote_literal(owner);
  }
  return text;
}

// In the same transaction as what it protects: a planted table would run its trigger, a planted
// view its functions, as the migrating role.
pq::Message check(const std::vector<std::string>& owners) {
  const std::string body = fmt::format(
      "\nDECLARE\n  there pg_catalog.int8;\n  ours pg_catalog.int8;\n"
      "  remark pg_catalog.text;\nBEGIN\n"
      "  SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE {}) "
      "INTO there, ours FROM pg_catalog.pg_class c "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname = 'tenantctl' AND c.relname IN ('run', 'run_schema');\n"
      "  IF there = 0 THEN {} END IF;\n"
      "  IF ours <> 2 THEN {} END IF;\n"
      "  SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') INTO remark "
      "FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tenantctl';\n"
      "  IF remark <> '{}{}' THEN {} END IF;\nEND\n",
      ownership_condition(owners, Lookup::one), raise(absent, "there is no ledger"),
      raise(foreign, "schema tenantctl or its tables are not ours alone"), version_prefix, version,
      raise(newer, "another version of tenantctl made the ledger"));
  return {.sql = "DO " + dollar_quoted(body)};
}

// A table that somebody locked must not hold up the schemas of the run.
pq::Message impatience() {
  return {.sql = "SELECT pg_catalog.set_config('lock_timeout', '2s', true)"};
}

std::vector<pq::Message> statements_of_version_1() {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "CREATE SCHEMA IF NOT EXISTS tenantctl"});
  messages.push_back(
      {.sql = "CREATE TABLE IF NOT EXISTS tenantctl.run (\n"
              "  id uuid PRIMARY KEY,\n"
              "  command text NOT NULL,\n"
              "  target text NOT NULL,\n"
              "  of_run uuid,\n"
              "  state text NOT NULL CHECK (state IN ('running', 'ok', 'failed', "
              "'interrupted')),\n"
              "  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
              "  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
              "  ended_at timestamptz,\n"
              "  db_user text NOT NULL DEFAULT SESSION_USER,\n"
              "  os_user text,\n"
              "  host text,\n"
              "  job text,\n"
              "  tool_version text NOT NULL,\n"
              "  shared_digest text,\n"
              "  tenant_digest text,\n"
              "  plan jsonb NOT NULL,\n"
              "  counts jsonb NOT NULL DEFAULT '{}',\n"
              "  message text,\n"
              "  locked boolean NOT NULL\n"
              ")"});
  messages.push_back(
      {.sql = "CREATE INDEX IF NOT EXISTS run_started_at ON tenantctl.run (started_at)"});
  messages.push_back(
      {.sql = "CREATE TABLE IF NOT EXISTS tenantctl.run_schema (\n"
              "  run_id uuid NOT NULL REFERENCES tenantctl.run (id) ON DELETE CASCADE,\n"
              "  scope text NOT NULL CHECK (scope IN ('shared', 'tenant')),\n"
              "  schema text NOT NULL,\n"
              "  result text NOT NULL,\n"
              "  from_revision bigint NOT NULL,\n"
              "  revision bigint NOT NULL,\n"
              "  steps integer NOT NULL,\n"
              "  tries integer NOT NULL,\n"
              "  duration_ms bigint NOT NULL,\n"
              "  sqlstate text,\n"
              "  failed_revision text,\n"
              "  message text,\n"
              "  hint text,\n"
              "  file text,\n"
              "  line integer,\n"
              "  line_column integer,\n"
              "  PRIMARY KEY (run_id, scope, schema)\n"
              ")"});
  messages.push_back(
      {.sql = fmt::format("COMMENT ON SCHEMA tenantctl IS '{}{}'", version_prefix, version)});
  return messages;
}

[[noreturn]] void explain(const pq::ServerError& error) {
  if (error.is(foreign)) {
    throw UsageError("the ledger cannot be used: schema tenantctl or its tables are not ours alone",
                     "Look at their owner, at triggers and rules; --owner names roles to trust.");
  }
  if (error.is(newer)) {
    throw UsageError("the ledger cannot be used: another version of tenantctl made it",
                     "Use that version, or a newer one.");
  }
  throw error;
}

}  // namespace

void LedgerTables::write_or_make(const std::function<std::vector<pq::Message>()>& messages) {
  try {
    write(messages());
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      throw;
    }
    make();
    write(messages());
  }
}

void LedgerTables::write(std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(owners_));
  messages.insert(messages.begin(), impatience());
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write,
                        pq::Clock::now() + write_patience);
  } catch (const pq::ServerError& error) {
    explain(error);
  }
}

void LedgerTables::read(std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(owners_));
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only,
                        pq::Clock::now() + patience_);
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      explain(error);
    }
  }
}

// Under a lock, so that of two first runs at once the second finds what the first made.
void LedgerTables::make() {
  std::vector<pq::Message> messages;
  messages.push_back(impatience());
  messages.push_back({.sql = "SELECT pg_catalog.pg_advisory_xact_lock(1952670769, -1)"});
  messages.push_back(
      {.sql = fmt::format("DO $tenantctl$BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_namespace n "
                          "WHERE n.nspname = 'tenantctl' AND "
                          "pg_catalog.pg_get_userbyid(n.nspowner)::text NOT IN ({})) THEN {} END "
                          "IF; END$tenantctl$",
                          roles(owners_), raise(foreign, "schema tenantctl is not ours"))});
  for (pq::Message& message : statements_of_version_1()) {
    messages.push_back(std::move(message));
  }
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write,
                        pq::Clock::now() + write_patience);
  } catch (const pq::ServerError& error) {
    explain(error);
  }
}

// The key by which a living run is known. A function of the id, so that no two runs share one.
std::string lock_key(std::string_view id) {
  return fmt::format(
      "('x' || pg_catalog.substr(pg_catalog.replace({}::text, '-', ''), 1, 16))"
      "::pg_catalog.bit(64)::pg_catalog.int8",
      id);
}

}  // namespace tenantctl
