#include "migrate/version_table.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/text.h"
#include "tenant/fleet.h"

namespace tenantctl {
namespace {

template <typename Number>
Number number_of(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

RowState state_from(std::string_view text) {
  if (text == "running") {
    return RowState::running;
  }
  return text == "applied" ? RowState::applied : RowState::needs_decision;
}

void read_progress(std::string_view text, AppliedRevision& row) {
  row.reverting = text.starts_with("down:");
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    row.confirmed = number_of<std::size_t>(text.substr(colon + 1));
  }
}

std::string raise(std::string_view sqlstate, std::string_view message) {
  return fmt::format("RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = {};", sqlstate,
                     quote_literal(message));
}

}  // namespace

std::string VersionTable::progress_text(const AppliedRevision& row) {
  return fmt::format("{}:{}", row.reverting ? "down" : "up", row.confirmed);
}

VersionTable::VersionTable(SchemaName schema, TableOptions options)
    : schema_(std::move(schema)),
      options_(std::move(options)),
      table_(schema_.quoted() + "." + quote_identifier(options_.name)) {}

pq::Message VersionTable::create_schema() const {
  return {.sql = "CREATE SCHEMA " + schema_.quoted()};
}

pq::Message VersionTable::create_table() const {
  return {.sql = fmt::format(
              "CREATE TABLE {} (\n"
              "  position bigint CONSTRAINT tenantctl_position PRIMARY KEY CHECK (position > 0),\n"
              "  revision bigint NOT NULL CONSTRAINT tenantctl_revision UNIQUE,\n"
              "  name text NOT NULL,\n"
              "  checksum text NOT NULL,\n"
              "  digest text NOT NULL,\n"
              "  state text NOT NULL CHECK (state IN ('running', 'applied', 'needs-decision')),\n"
              "  guard bigint CONSTRAINT tenantctl_guard REFERENCES {} (position)\n"
              "    DEFERRABLE INITIALLY DEFERRED,\n"
              "  xid xid8,\n"
              "  origin text NOT NULL CHECK (origin IN ('run', 'stamp', 'import')),\n"
              "  applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
              "  applied_by text NOT NULL DEFAULT SESSION_USER,\n"
              "  duration interval,\n"
              "  run_id uuid,\n"
              "  tool_version text NOT NULL,\n"
              "  statement text,\n"
              "  statement_digest text,\n"
              "  sqlstate text,\n"
              "  message text\n"
              ")",
              table_, table_)};
}

std::string VersionTable::block(const std::string& declarations, const std::string& body) {
  // The tag must not occur in a schema's name, which may hold anything.
  std::string tag = "$tenantctl$";
  while (body.find(tag) != std::string::npos) {
    tag.insert(tag.size() - 1, "_");
  }
  return fmt::format("DO {0}\n{1}BEGIN\n{2}\nEND\n{0}", tag,
                     declarations.empty() ? "" : "DECLARE\n" + declarations, body);
}

std::string VersionTable::lock_statement(std::string_view function) const {
  return fmt::format(
      "  SELECT n.oid INTO namespace FROM pg_catalog.pg_namespace n WHERE n.nspname = {};\n"
      "  IF namespace IS NULL THEN {} END IF;\n"
      "  IF pg_catalog.{}({}, namespace::pg_catalog.int4) IS NOT TRUE THEN\n    {}\n  END IF;",
      quote_literal(schema_.text()), raise(refusal::gone, "the schema does not exist"), function,
      lock_class, raise(refusal::busy, "another session is migrating the schema"));
}

std::string VersionTable::ownership_check(bool with_table) const {
  if (with_table) {
    return fmt::format(
        "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.oid = namespace AND c.relname = {0}) THEN\n    {1}\n"
        "  END IF;\n"
        "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.oid = namespace AND c.relname = {0} AND {2}) THEN\n"
        "    {3}\n  END IF;",
        quote_literal(options_.name), raise(refusal::moved, "the version table is not there"),
        ownership_condition(options_.owners, Lookup::one),
        raise(refusal::foreign, "the version table is not ours alone"));
  }
  return fmt::format(
      "  IF EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = namespace "
      "AND c.relname = {}) THEN\n    {}\n  END IF;",
      quote_literal(options_.name), raise(refusal::moved, "the version table is there already"));
}

// The newest digest stands for all rows in state applied; a row that is half-way says by itself how
// far it is.
std::string VersionTable::place_check(const Expected& expected) const {
  const auto literal = [](const std::string& text) {
    return text.empty() ? "NULL" : quote_literal(text);
  };
  std::string condition = fmt::format(
      "newest IS DISTINCT FROM {} OR unfinished IS DISTINCT FROM {}", literal(expected.digest),
      expected.running == 0 ? "NULL" : fmt::to_string(expected.running));
  if (!expected.progress.empty()) {
    condition += " OR progress IS DISTINCT FROM " + literal(expected.progress);
  }
  return fmt::format(
      "  SELECT v.digest INTO newest FROM {0} v ORDER BY v.position DESC LIMIT 1;\n"
      "  SELECT v.revision, v.statement INTO unfinished, progress FROM {0} v "
      "WHERE v.state <> 'applied' LIMIT 1;\n"
      "  IF {1} THEN\n    {2}\n  END IF;",
      table_, condition, raise(refusal::moved, "the schema is not where the plan says"));
}

pq::Message VersionTable::fence(const Expected& expected) const {
  std::string body =
      lock_statement("pg_try_advisory_xact_lock") + "\n" + ownership_check(!expected.installs);
  std::string declarations = "  namespace pg_catalog.oid;\n";
  if (!expected.installs) {
    declarations +=
        "  newest pg_catalog.text;\n  unfinished pg_catalog.int8;\n  progress pg_catalog.text;\n";
    body += "\n" + place_check(expected);
  }
  return {.sql = block(declarations, body)};
}

pq::Message VersionTable::lock() const {
  return {.sql =
              block("  namespace pg_catalog.oid;\n", lock_statement("pg_try_advisory_xact_lock"))};
}

pq::Message VersionTable::lock_session() const {
  return {.sql = block("  namespace pg_catalog.oid;\n", lock_statement("pg_try_advisory_lock"))};
}

pq::Message VersionTable::unlock_session() { return {.sql = "DISCARD ALL"}; }

pq::Message VersionTable::insert(const AppliedRevision& row, const std::string& origin,
                                 bool guarded) const {
  const bool running = row.state == RowState::running;
  return {
      .sql = fmt::format(
          "INSERT INTO {} (position, revision, name, checksum, digest, state, guard, xid, "
          "origin, run_id, tool_version, statement, statement_digest) VALUES ($1, $2, $3, $4, "
          "$5, $6, {}, pg_catalog.pg_current_xact_id(), $7, $8, $9, $10, $11)",
          table_, guarded ? "0" : "NULL"),
      .values = {fmt::to_string(row.position), fmt::to_string(row.number), row.name, row.checksum,
                 row.digest, std::string(to_text(row.state)), origin,
                 options_.run_id.empty() ? std::nullopt : std::optional(options_.run_id),
                 options_.tool_version, running ? std::optional(progress_text(row)) : std::nullopt,
                 running ? std::optional(row.statement_digest) : std::nullopt}};
}

pq::Message VersionTable::insert_guarded(const AppliedRevision& row,
                                         const std::string& origin) const {
  return insert(row, origin, true);
}

pq::Message VersionTable::insert_running(const AppliedRevision& row) const {
  return insert(row, "run", false);
}

pq::Message VersionTable::guard(const AppliedRevision& row) const {
  return {.sql = fmt::format("UPDATE {} SET guard = 0, xid = pg_catalog.pg_current_xact_id() "
                             "WHERE position = $1",
                             table_),
          .values = {fmt::to_string(row.position)}};
}

pq::Message VersionTable::lift_guard(const AppliedRevision& row) const {
  return {.sql = fmt::format("UPDATE {} SET guard = NULL WHERE position = $1 "
                             "AND xid = pg_catalog.pg_current_xact_id()",
                             table_),
          .values = {fmt::to_string(row.position)}};
}

std::vector<pq::Message> VersionTable::set_guard(const AppliedRevision& row) const {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SET CONSTRAINTS {}.tenantctl_guard DEFERRED", schema_.quoted())});
  messages.push_back({.sql = fmt::format("UPDATE {} SET guard = 0 WHERE position = $1 "
                                         "AND xid = pg_catalog.pg_current_xact_id()",
                                         table_),
                      .values = {fmt::to_string(row.position)}});
  return messages;
}

// Anything but one row means that this transaction is not the one that set the guard.
pq::Message VersionTable::exactly_one(const std::string& statement) const {
  return {.sql = block("  changed pg_catalog.int8;\n",
                       fmt::format("  {};\n  GET DIAGNOSTICS changed = ROW_COUNT;\n"
                                   "  IF changed <> 1 THEN {} END IF;",
                                   statement,
                                   raise(refusal::escaped,
                                         "the revision ended its own transaction, or its version "
                                         "row is gone")))};
}

pq::Message VersionTable::close(const AppliedRevision& row) const {
  return exactly_one(fmt::format(
      "UPDATE {} SET guard = NULL, duration = pg_catalog.clock_timestamp() - applied_at "
      "WHERE position = {} AND guard = 0 AND xid = pg_catalog.pg_current_xact_id()",
      table_, row.position));
}

pq::Message VersionTable::close_and_remove(const AppliedRevision& row) const {
  return exactly_one(
      fmt::format("DELETE FROM {} WHERE position = {} AND guard = 0 "
                  "AND xid = pg_catalog.pg_current_xact_id()",
                  table_, row.position));
}

pq::Message VersionTable::start_running(const AppliedRevision& row) const {
  return {.sql = fmt::format("UPDATE {} SET state = 'running', statement = $2, "
                             "statement_digest = $3, sqlstate = NULL, message = NULL "
                             "WHERE position = $1",
                             table_),
          .values = {fmt::to_string(row.position), progress_text(row), row.statement_digest}};
}

pq::Message VersionTable::progress(const AppliedRevision& row) const {
  return {.sql = fmt::format("UPDATE {} SET statement = $2, statement_digest = $3, "
                             "sqlstate = NULL, message = NULL WHERE position = $1",
                             table_),
          .values = {fmt::to_string(row.position), progress_text(row), row.statement_digest}};
}

pq::Message VersionTable::failed_at(const AppliedRevision& row,
                                    const pq::ServerFields& error) const {
  return {
      .sql = fmt::format("UPDATE {} SET sqlstate = $2, message = $3 WHERE position = $1", table_),
      .values = {fmt::to_string(row.position), error.sqlstate, error.message}};
}

pq::Message VersionTable::finish_running(const AppliedRevision& row) const {
  return exactly_one(
      fmt::format("UPDATE {} SET state = 'applied', checksum = {}, digest = {}, statement = NULL, "
                  "statement_digest = NULL, sqlstate = NULL, message = NULL, "
                  "duration = pg_catalog.clock_timestamp() - applied_at "
                  "WHERE position = {} AND state = 'running'",
                  table_, quote_literal(row.checksum), quote_literal(row.digest), row.position));
}

pq::Message VersionTable::remove(const AppliedRevision& row) const {
  return exactly_one(fmt::format("DELETE FROM {} WHERE position = {} AND state = 'running'", table_,
                                 row.position));
}

pq::Message VersionTable::change(const RowChange& change, const std::string& origin) const {
  switch (change.kind) {
    case RowChange::Kind::insert:
      return insert(change.row, origin, false);
    case RowChange::Kind::remove:
      return {.sql = fmt::format("DELETE FROM {} WHERE position = $1", table_),
              .values = {fmt::to_string(change.position)}};
    case RowChange::Kind::update:
      break;
  }
  return {.sql = fmt::format("UPDATE {} SET position = $2, checksum = $3, digest = $4 "
                             "WHERE position = $1",
                             table_),
          .values = {fmt::to_string(change.position), fmt::to_string(change.row.position),
                     change.row.checksum, change.row.digest}};
}

pq::Message VersionTable::mark(const Mark& mark) const {
  return {.sql = fmt::format("COMMENT ON TABLE {} IS {}", table_, quote_literal(mark.text()))};
}

pq::Message VersionTable::read(History& history) const {
  history.clear();
  return {.sql = fmt::format(
              "SELECT v.position, v.revision, v.name, v.checksum, v.digest, v.state, "
              "v.statement, v.statement_digest, v.sqlstate FROM {} v ORDER BY v.position",
              table_),
          .on_row = [&history](const pq::Row& fields) {
            AppliedRevision row;
            row.position = number_of<std::int64_t>(fields.text(0));
            row.number = number_of<RevisionNumber>(fields.text(1));
            row.name = fields.text(2);
            row.checksum = fields.text(3);
            row.digest = fields.text(4);
            row.state = state_from(fields.text(5));
            if (row.state != RowState::applied) {
              read_progress(fields.text(6), row);
            }
            row.statement_digest = fields.text(7);
            row.failed = !fields.is_null(8);
            history.push_back(std::move(row));
          }};
}

}  // namespace tenantctl
