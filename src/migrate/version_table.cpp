#include "migrate/version_table.h"

#include <fmt/format.h>

#include <utility>

#include "base/number.h"
#include "base/text.h"
#include "pq/stop_point.h"
#include "tenant/fleet.h"
#include "tenant/fleet_roles.h"

namespace tenantctl {
namespace {

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

constexpr std::string_view refusal_prefix = "tenantctl ";

// As the branch of a CASE whose value is cast to a number.
std::string refuse(std::string_view code, std::string_view message) {
  return quote_literal(fmt::format("{}{}: {}", refusal_prefix, code, message));
}

std::string refuse_unless(std::string_view condition, std::string_view code,
                          std::string_view message) {
  return fmt::format("(CASE WHEN {} THEN '0' ELSE {} END)::pg_catalog.int4", condition,
                     refuse(code, message));
}

// $1 or $1::type
std::string parameter(int number) { return fmt::format("${}", number); }

}  // namespace

std::optional<OwnRefusal> own_refusal(const pq::ServerFields& error) {
  // The server's own words around it, and its quotation marks, are in the language of lc_messages.
  const auto begin = error.message.find(fmt::format("{}TC", refusal_prefix));
  if (!error.is("22P02") || begin == std::string::npos) {
    return std::nullopt;
  }
  const std::string_view text =
      std::string_view(error.message).substr(begin + refusal_prefix.size());
  constexpr std::size_t code_size = 5;
  std::size_t end = text.rfind('"');
  if (end == std::string_view::npos) {
    end = text.size();
    while (end > 0 && (static_cast<unsigned char>(text[end - 1]) >= 0x80 || text[end - 1] == ' ')) {
      --end;
    }
  }
  return OwnRefusal{.code = text.substr(0, code_size),
                    .message = text.substr(code_size + 2, end - code_size - 2)};
}

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

pq::Message VersionTable::keep_to_owner() const {
  return {.sql =
              "DO " +
              dollar_quoted(fmt::format(
                  "\nDECLARE\n  guest pg_catalog.text;\nBEGIN\n"
                  "  FOR guest IN SELECT DISTINCT COALESCE(pg_catalog.quote_ident(r.rolname), "
                  "'PUBLIC') FROM pg_catalog.pg_class c CROSS JOIN LATERAL "
                  "pg_catalog.aclexplode(c.relacl) AS x LEFT JOIN pg_catalog.pg_roles r "
                  "ON r.oid OPERATOR(pg_catalog.=) x.grantee WHERE c.oid OPERATOR(pg_catalog.=) "
                  "{0}::pg_catalog.regclass AND x.grantee OPERATOR(pg_catalog.<>) c.relowner "
                  "LOOP\n    EXECUTE pg_catalog.concat('REVOKE ALL ON ', {0}, ' FROM ', guest);\n"
                  "  END LOOP;\nEND\n",
                  quote_literal(table_)))};
}

pq::Message VersionTable::let_read() const {
  return {.sql = grant_reading(options_.readers, schema_.text(), options_.name)};
}

std::string VersionTable::entry_condition(const std::vector<std::string>& owners, int first) {
  const std::string takes_lock =
      pq::is_off(pq::Protection::lock)
          ? "true"
          : fmt::format(
                "CASE WHEN w.holds THEN pg_catalog.pg_try_advisory_lock({0}, "
                "n.oid::pg_catalog.int4)\n"
                "    ELSE pg_catalog.pg_try_advisory_xact_lock({0}, n.oid::pg_catalog.int4) END",
                lock_class);
  return fmt::format(
      "(CASE WHEN n.oid IS NULL THEN {gone}\n"
      "  WHEN ({takes_lock}) IS NOT TRUE THEN {busy}\n"
      "  WHEN w.installs THEN CASE WHEN c.oid IS NULL THEN '0' ELSE {there} END\n"
      "  WHEN c.oid IS NULL THEN {not_there}\n"
      "  WHEN {ours} THEN '0' ELSE {foreign} END)::pg_catalog.int4\n"
      "FROM (VALUES ({schema}::pg_catalog.name, {table}::pg_catalog.name, "
      "{installs}::pg_catalog.bool, {holds}::pg_catalog.bool)) AS w (schema, name, installs, "
      "holds)\n"
      "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema\n"
      "LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name",
      fmt::arg("gone", refuse(refusal::gone, "the schema does not exist")),
      fmt::arg("takes_lock", takes_lock),
      fmt::arg("busy", refuse(refusal::busy, "another session is migrating the schema")),
      fmt::arg("there", refuse(refusal::moved, "the version table is there already")),
      fmt::arg("not_there", refuse(refusal::moved, "the version table is not there")),
      fmt::arg("ours", ownership_condition(owners, Lookup::one)),
      fmt::arg("foreign", refuse(refusal::foreign, "the version table is not ours alone")),
      fmt::arg("schema", parameter(first)), fmt::arg("table", parameter(first + 1)),
      fmt::arg("installs", parameter(first + 2)), fmt::arg("holds", parameter(first + 3)));
}

std::vector<std::optional<std::string>> VersionTable::entry_values(bool installs, Hold hold) const {
  return {schema_.text(), options_.name, installs ? "true" : "false",
          hold == Hold::session ? "true" : "false"};
}

// The newest digest stands for all rows in state applied; a row that is half-way says by itself how
// far it is. The last row of all is the newest revision's where no repeatable is expected, or else
// the last repeatable's, whose digest stands for all of those.
std::string VersionTable::place_condition(const Expected& expected) {
  if (pq::is_off(pq::Protection::fresh_read)) {
    return refuse_unless("pg_catalog.count(*) >= 0", refusal::moved, "");
  }
  const auto literal = [](const std::string& text) {
    return text.empty() ? "NULL" : quote_literal(text);
  };
  const std::string revisions =
      expected.repeatables.empty()
          ? ""
          : fmt::format(" FILTER (WHERE v.position < {})", first_repeatable);
  const auto newest = [&revisions](std::string_view column) {
    return fmt::format("(pg_catalog.array_agg(v.{} ORDER BY v.position DESC){})[1]", column,
                       revisions);
  };
  std::string condition = fmt::format(
      "{} IS NOT DISTINCT FROM {} "
      "AND pg_catalog.min(v.revision) FILTER (WHERE v.state <> 'applied') IS NOT DISTINCT FROM {}",
      newest("digest"), literal(expected.digest),
      expected.running == 0 ? "NULL" : fmt::to_string(expected.running));
  if (!expected.progress.empty()) {
    condition += " AND pg_catalog.min(v.statement) FILTER (WHERE v.state <> 'applied') = " +
                 literal(expected.progress);
  }
  if (!expected.repeatables.empty()) {
    condition += " AND (pg_catalog.array_agg(v.digest ORDER BY v.position DESC))[1] = " +
                 literal(expected.repeatables);
  }
  if (!expected.run_id.empty()) {
    condition += fmt::format(" AND {} IS NOT DISTINCT FROM {}::pg_catalog.uuid", newest("run_id"),
                             quote_literal(expected.run_id));
  }
  return refuse_unless(condition, refusal::moved, "the schema is not where the plan says");
}

pq::Message VersionTable::place(const Expected& expected) const {
  return {.sql = fmt::format("SELECT {} FROM {} v", place_condition(expected), table_)};
}

pq::Message VersionTable::place(const Expected& expected, const std::string& search_path) const {
  return {.sql = fmt::format("SELECT {}, pg_catalog.set_config('search_path', $1, true) FROM {} v",
                             place_condition(expected), table_),
          .values = {search_path}};
}

pq::Message VersionTable::lock_with(std::string_view function) const {
  if (pq::is_off(pq::Protection::lock)) {
    return {.sql = "SELECT"};
  }
  return {
      .sql = fmt::format("SELECT (CASE WHEN n.oid IS NULL THEN {} WHEN pg_catalog.{}({}, "
                         "n.oid::pg_catalog.int4) THEN '0' ELSE {} END)::pg_catalog.int4 "
                         "FROM (VALUES ($1::pg_catalog.name)) AS w (schema) "
                         "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema",
                         refuse(refusal::gone, "the schema does not exist"), function, lock_class,
                         refuse(refusal::busy, "another session is migrating the schema")),
      .values = {schema_.text()}};
}

pq::Message VersionTable::lock() const { return lock_with("pg_try_advisory_xact_lock"); }

pq::Message VersionTable::lock_session() const { return lock_with("pg_try_advisory_lock"); }

pq::Message VersionTable::unlock_all() {
  return {.sql = "SELECT pg_catalog.pg_advisory_unlock_all()"};
}

pq::Message VersionTable::discard() { return {.sql = "DISCARD ALL"}; }

pq::Message VersionTable::insert(const AppliedRevision& row, const std::string& origin, Guard guard,
                                 std::string_view duration) const {
  const bool running = row.state == RowState::running;
  return {
      .sql = fmt::format(
          "INSERT INTO {} (position, revision, name, checksum, digest, state, guard, xid, "
          "origin, duration, run_id, tool_version, statement, statement_digest) VALUES ($1, $2, "
          "$3, $4, $5, $6, {}, pg_catalog.pg_current_xact_id(), $7, {}, $8, $9, $10, $11)",
          table_, guard == Guard::set ? "0" : "NULL", duration),
      .values = {fmt::to_string(row.position), fmt::to_string(row.number), row.name, row.checksum,
                 row.digest, std::string(to_text(row.state)), origin,
                 options_.run_id.empty() ? std::nullopt : std::optional(options_.run_id),
                 options_.tool_version, running ? std::optional(progress_text(row)) : std::nullopt,
                 running ? std::optional(row.statement_digest) : std::nullopt}};
}

pq::Message VersionTable::insert_guarded(const AppliedRevision& row,
                                         const std::string& origin) const {
  return insert(row, origin, Guard::set);
}

pq::Message VersionTable::insert_finished(const AppliedRevision& row,
                                          const std::string& origin) const {
  return insert(row, origin, Guard::none,
                "pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()");
}

pq::Message VersionTable::remove_finished(const AppliedRevision& row) const {
  return exactly_one(fmt::format("DELETE FROM {} WHERE position = {}", table_, row.position));
}

pq::Message VersionTable::insert_running(const AppliedRevision& row) const {
  return insert(row, "run", Guard::none);
}

pq::Message VersionTable::guard(const AppliedRevision& row) const {
  return {.sql = fmt::format("UPDATE {} SET guard = 0, xid = pg_catalog.pg_current_xact_id() "
                             "WHERE position = $1",
                             table_),
          .values = {fmt::to_string(row.position)}};
}

pq::Message VersionTable::guard_again(const AppliedRevision& row) const {
  return {.sql = fmt::format(
              "UPDATE {} SET guard = 0, xid = pg_catalog.pg_current_xact_id(), checksum = $2, "
              "digest = $3, origin = 'run', applied_at = pg_catalog.clock_timestamp(), "
              "applied_by = SESSION_USER, run_id = $4, tool_version = $5 WHERE position = $1",
              table_),
          .values = {fmt::to_string(row.position), row.checksum, row.digest,
                     options_.run_id.empty() ? std::nullopt : std::optional(options_.run_id),
                     options_.tool_version}};
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
pq::Message VersionTable::exactly_one(const std::string& change) {
  return {.sql = fmt::format(
              "WITH changed AS ({} RETURNING position) SELECT {} FROM changed", change,
              refuse_unless("pg_catalog.count(*) = 1", refusal::escaped,
                            "the revision ended its own transaction, or changed its version row"))};
}

// A row written in this transaction, or in one of its subtransactions, is not older than it is.
pq::Message VersionTable::untouched(const AppliedRevision& row, std::size_t revisions) const {
  const std::string condition = fmt::format("v.written = 0 AND v.revisions = {} AND {}", revisions,
                                            ownership_condition(options_.owners, Lookup::one));
  return {.sql = fmt::format(
              "SELECT {} FROM (SELECT "
              "pg_catalog.count(*) FILTER (WHERE r.position < {}) AS revisions, "
              "pg_catalog.count(*) FILTER (WHERE r.position <> {} AND pg_catalog.age(r.xmin) <= 0) "
              "AS written FROM {} r) v, "
              "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "WHERE n.nspname = $1 AND c.relname = $2",
              refuse_unless(condition, refusal::tampered, "the revision changed the version table"),
              first_repeatable, row.position, table_),
          .values = {schema_.text(), options_.name}};
}

pq::Message VersionTable::close(const AppliedRevision& row) const {
  return exactly_one(fmt::format(
      "UPDATE {} SET guard = NULL, duration = pg_catalog.clock_timestamp() - applied_at "
      "WHERE position = {} AND guard = 0 AND xid = pg_catalog.pg_current_xact_id() "
      "AND revision = {} AND state = 'applied' AND checksum = {} AND digest = {}",
      table_, row.position, row.number, quote_literal(row.checksum), quote_literal(row.digest)));
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
      return insert(change.row, origin, Guard::none);
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
              "v.statement, v.statement_digest, v.sqlstate, "
              "CASE WHEN v.origin = 'run' THEN v.run_id END FROM {} v ORDER BY v.position",
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
            row.run_id = fields.text(9);
            history.push_back(std::move(row));
          }};
}

pq::Message VersionTable::read_comment(std::optional<std::string>& comment) const {
  return {.sql =
              "SELECT d.description FROM pg_catalog.pg_class c "
              "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 "
              "AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass "
              "WHERE n.nspname = $1 AND c.relname = $2",
          .values = {schema_.text(), options_.name},
          .on_row = [&comment](const pq::Row& row) { comment = std::string(row.text(0)); }};
}

}  // namespace tenantctl
