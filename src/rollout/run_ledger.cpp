#include "rollout/run_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "pq/transaction.h"
#include "tenant/fleet.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 10s;
constexpr std::string_view version_prefix = "tenantctl ledger ";
constexpr int version = 1;

// What the ledger's own check raises; class TC is nobody else's.
constexpr std::string_view absent = "TC011";
constexpr std::string_view foreign = "TC012";
constexpr std::string_view newer = "TC013";

template <typename Number>
Number number_of(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Values of a text[] in its own notation, so that many rows are one parameter each column.
class TextArray {
 public:
  void add(std::string_view value) {
    text_ += text_.size() > 1 ? ",\"" : "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
      }
      text_ += c;
    }
    text_ += '"';
  }
  void add_null() { text_ += text_.size() > 1 ? ",NULL" : "NULL"; }
  void add_or_null(std::string_view value) { value.empty() ? add_null() : add(value); }
  std::string text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

std::string array_of(const std::vector<std::string>& values) {
  TextArray array;
  for (const std::string& value : values) {
    array.add(value);
  }
  return array.text();
}

std::optional<std::string> or_null(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

// The key by which a living run is known. A function of the id, so that no two runs share one.
std::string lock_key(std::string_view id) {
  return fmt::format(
      "('x' || pg_catalog.substr(pg_catalog.replace({}::text, '-', ''), 1, 16))"
      "::pg_catalog.bit(64)::pg_catalog.int8",
      id);
}

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
  std::string tag = "$tenantctl$";
  while (roles(owners).find(tag) != std::string::npos) {
    tag.insert(tag.size() - 1, "_");
  }
  return {.sql = fmt::format(
              "DO {0}\nDECLARE\n  there pg_catalog.int8;\n  ours pg_catalog.int8;\n"
              "  remark pg_catalog.text;\nBEGIN\n"
              "  SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE {1}) "
              "INTO there, ours FROM pg_catalog.pg_class c "
              "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "WHERE n.nspname = 'tenantctl' AND c.relname IN ('run', 'run_schema');\n"
              "  IF there = 0 THEN {2} END IF;\n"
              "  IF ours <> 2 THEN {3} END IF;\n"
              "  SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') INTO remark "
              "FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tenantctl';\n"
              "  IF remark <> '{4}{5}' THEN {6} END IF;\nEND\n{0}",
              tag, ownership_condition(owners, Lookup::one), raise(absent, "there is no ledger"),
              raise(foreign, "schema tenantctl or its tables are not ours alone"), version_prefix,
              version, raise(newer, "another version of tenantctl made the ledger"))};
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

// The arrays from parameter `first` on side by side, a row for each element.
std::string rows_from(int first, const std::vector<std::string_view>& types) {
  std::string text;
  for (const std::string_view type : types) {
    text += fmt::format("{}pg_catalog.unnest(${}::{}[])", text.empty() ? "" : ", ", first++, type);
  }
  return "ROWS FROM (" + text + ")";
}

// One row a group; the JSON is the server's work.
pq::Message insert_run(const RunStart& run, bool locks) {
  TextArray scopes;
  TextArray froms;
  TextArray tos;
  TextArray revisions;
  TextArray counts;
  TextArray schemas;
  for (const RunGroup& group : run.groups) {
    scopes.add(to_text(group.scope));
    froms.add(fmt::to_string(group.from));
    tos.add(fmt::to_string(group.to));
    revisions.add(array_of(group.revisions));
    counts.add(fmt::to_string(group.count));
    schemas.add(array_of(group.schemas));
  }
  return {.sql = fmt::format(
              "INSERT INTO tenantctl.run (id, command, target, of_run, state, os_user, host, job, "
              "tool_version, shared_digest, tenant_digest, locked, plan) SELECT $1, $2, $3, $4, "
              "'running', $5, $6, $7, $8, $9, $10, {}, COALESCE((SELECT pg_catalog.jsonb_agg("
              "pg_catalog.jsonb_build_object('scope', g.scope, 'from', g.origin::bigint, "
              "'to', g.goal::bigint, 'revisions', g.revisions::text[], 'count', g.count::bigint, "
              "'schemas', g.schemas::text[]) ORDER BY g.number) FROM {} WITH ORDINALITY "
              "AS g (scope, origin, goal, revisions, count, schemas, number)), '[]') "
              // Sent again when the answer to the first was lost.
              "ON CONFLICT (id) DO NOTHING",
              locks, rows_from(11, {"text", "text", "text", "text", "text", "text"})),
          .values = {run.id, run.command, run.target, or_null(run.of_run), or_null(run.os_user),
                     or_null(run.host), or_null(run.job), run.tool_version,
                     or_null(run.shared_digest), or_null(run.tenant_digest), scopes.text(),
                     froms.text(), tos.text(), revisions.text(), counts.text(), schemas.text()}};
}

/// The columns of run_schema, an array each.
struct SchemaColumns {
  explicit SchemaColumns(const std::vector<RunSchema>& schemas) {
    for (const RunSchema& schema : schemas) {
      add(schema.scope, schema.report);
    }
  }

  void add(Scope of, const SchemaReport& report) {
    scope.add(to_text(of));
    name.add(report.schema);
    result.add(to_text(report.result));
    from.add(fmt::to_string(report.from));
    revision.add(fmt::to_string(report.revision));
    steps.add(fmt::to_string(report.steps));
    tries.add(fmt::to_string(report.tries));
    duration.add(fmt::to_string(report.duration.count()));
    static const Failure none;
    const Failure& failure = report.failure == nullptr ? none : *report.failure;
    sqlstate.add_or_null(failure.sqlstate);
    failed.add_or_null(failure.revision);
    // A server's message may hold anything; a column takes only text.
    message.add_or_null(escaped(failure.message));
    hint.add_or_null(escaped(failure.hint));
    const Place place = failure.place.value_or(Place{});
    file.add_or_null(escaped(place.file));
    line.add_or_null(place.line > 0 ? fmt::to_string(place.line) : "");
    column.add_or_null(place.column > 0 ? fmt::to_string(place.column) : "");
  }

  TextArray scope, name, result, from, revision, steps, tries, duration, sqlstate, failed, message,
      hint, file, line, column;
};

pq::Message insert_schemas(const std::string& run_id, const std::vector<RunSchema>& schemas) {
  const SchemaColumns columns(schemas);
  return {
      .sql =
          "INSERT INTO tenantctl.run_schema AS s (run_id, scope, schema, result, "
          "from_revision, revision, steps, tries, duration_ms, sqlstate, failed_revision, "
          "message, hint, file, line, line_column) "
          "SELECT $1, u.a, u.b, u.c, u.d, u.e, u.f, u.g, u.h, u.i, u.j, u.k, u.l, u.m, u.n, u.o "
          "FROM " +
          rows_from(2, {"text", "text", "text", "bigint", "bigint", "integer", "integer", "bigint",
                        "text", "text", "text", "text", "text", "integer", "integer"}) +
          " AS u (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o) "
          "ON CONFLICT (run_id, scope, schema) DO UPDATE SET result = excluded.result, "
          "revision = excluded.revision, steps = excluded.steps, tries = excluded.tries, "
          "duration_ms = excluded.duration_ms, sqlstate = excluded.sqlstate, "
          "failed_revision = excluded.failed_revision, message = excluded.message, "
          "hint = excluded.hint, file = excluded.file, line = excluded.line, "
          "line_column = excluded.line_column",
      .values = {run_id, columns.scope.text(), columns.name.text(), columns.result.text(),
                 columns.from.text(), columns.revision.text(), columns.steps.text(),
                 columns.tries.text(), columns.duration.text(), columns.sqlstate.text(),
                 columns.failed.text(), columns.message.text(), columns.hint.text(),
                 columns.file.text(), columns.line.text(), columns.column.text()}};
}

void add_counts(Scope scope, const std::optional<ResultCounts>& counts, TextArray& scopes,
                TextArray& results, TextArray& numbers) {
  for (std::size_t i = 0; counts && i < counts->size(); ++i) {
    scopes.add(to_text(scope));
    results.add(to_text(static_cast<Result>(i)));
    numbers.add(fmt::to_string((*counts)[i]));
  }
}

pq::Message update_run(const std::string& run_id, const RunEnd& end) {
  TextArray scopes;
  TextArray results;
  TextArray numbers;
  add_counts(Scope::shared, end.shared, scopes, results, numbers);
  add_counts(Scope::tenant, end.tenants, scopes, results, numbers);
  return {.sql =
              "UPDATE tenantctl.run SET state = $2, message = $3, "
              "seen_at = pg_catalog.clock_timestamp(), ended_at = pg_catalog.clock_timestamp(), "
              "counts = COALESCE((SELECT pg_catalog.jsonb_object_agg(o.scope, o.counts) FROM ("
              "SELECT c.scope, pg_catalog.jsonb_object_agg(c.result, c.count::bigint) AS counts "
              "FROM " +
              rows_from(4, {"text", "text", "text"}) +
              " AS c (scope, result, count) GROUP BY c.scope) o), '{}') WHERE id = $1",
          .values = {run_id, std::string(to_text(end.state)), or_null(escaped(end.message)),
                     scopes.text(), results.text(), numbers.text()}};
}

// A run that is written when it is over began before its schema.
pq::Message backdate_run(const std::string& run_id, const std::vector<RunSchema>& schemas) {
  std::chrono::milliseconds longest{0};
  for (const RunSchema& schema : schemas) {
    longest = std::max(longest, schema.report.duration);
  }
  return {.sql =
              "UPDATE tenantctl.run SET started_at = started_at - "
              "$2::bigint * interval '1 millisecond' WHERE id = $1",
          .values = {run_id, fmt::to_string(longest.count())}};
}

// Not LOCAL: the session holds it until the run is over or the connection is.
pq::Message lock(const std::string& run_id) {
  return {.sql = fmt::format("SELECT pg_catalog.pg_try_advisory_lock({})", lock_key("$1")),
          .values = {run_id}};
}

pq::Message unlock(const std::string& run_id) {
  return {
      .sql = fmt::format("SELECT pg_catalog.pg_advisory_unlock(l.key) FROM (SELECT {} AS key) l "
                         "WHERE EXISTS (SELECT FROM pg_catalog.pg_locks h "
                         "WHERE h.locktype = 'advisory' AND h.objsubid = 1 "
                         "AND h.pid = pg_catalog.pg_backend_pid() "
                         "AND h.classid::bigint = (l.key >> 32) & 4294967295 "
                         "AND h.objid::bigint = l.key & 4294967295)",
                         lock_key("$1")),
      .values = {run_id}};
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

Result result_from(std::string_view text) {
  for (std::size_t i = 0; i < result_count; ++i) {
    if (to_text(static_cast<Result>(i)) == text) {
      return static_cast<Result>(i);
    }
  }
  return Result::failed;
}

RunState state_from(std::string_view text) {
  for (const RunState state : {RunState::ok, RunState::failed, RunState::interrupted,
                               RunState::abandoned, RunState::unknown}) {
    if (to_text(state) == text) {
      return state;
    }
  }
  return RunState::running;
}

// The columns of one run; those that only the server can tell behind the table's own.
constexpr std::string_view iso = "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'";
std::string run_columns() {
  return fmt::format(
      "r.id, r.command, r.target, r.of_run, r.os_user, r.host, r.job, r.tool_version, "
      "r.shared_digest, r.tenant_digest, r.db_user, "
      "pg_catalog.to_char(r.started_at AT TIME ZONE 'UTC', {0}), "
      "pg_catalog.to_char(r.ended_at AT TIME ZONE 'UTC', {0}), "
      "(EXTRACT(EPOCH FROM COALESCE(r.ended_at, r.seen_at) - r.started_at) * 1000)::bigint, "
      "r.message, CASE WHEN r.state <> 'running' THEN r.state "
      "WHEN NOT r.locked AND r.seen_at > pg_catalog.clock_timestamp() - interval '1 minute' "
      "THEN 'running' WHEN NOT r.locked THEN 'unknown' "
      "WHEN EXISTS (SELECT FROM pg_catalog.pg_locks h WHERE h.locktype = 'advisory' "
      "AND h.objsubid = 1 AND h.database = (SELECT d.oid FROM pg_catalog.pg_database d "
      "WHERE d.datname = pg_catalog.current_database()) "
      "AND h.classid::bigint = ({1} >> 32) & 4294967295 "
      "AND h.objid::bigint = {1} & 4294967295) THEN 'running' ELSE 'abandoned' END",
      iso, lock_key("r.id"));
}

RunRecord record_of(const pq::Row& row) {
  RunRecord record;
  record.start.id = row.text(0);
  record.start.command = row.text(1);
  record.start.target = row.text(2);
  record.start.of_run = row.text(3);
  record.start.os_user = row.text(4);
  record.start.host = row.text(5);
  record.start.job = row.text(6);
  record.start.tool_version = row.text(7);
  record.start.shared_digest = row.text(8);
  record.start.tenant_digest = row.text(9);
  record.user = row.text(10);
  record.started_at = row.text(11);
  record.ended_at = row.text(12);
  record.duration = std::chrono::milliseconds(number_of<std::int64_t>(row.text(13)));
  record.end.message = row.text(14);
  record.end.state = state_from(row.text(15));
  return record;
}

void take_count(RunRecord& record, const pq::Row& row) {
  auto& counts = row.text(1) == "shared" ? record.end.shared : record.end.tenants;
  if (!counts) {
    counts.emplace();
  }
  const auto index = static_cast<std::size_t>(result_from(row.text(2)));
  counts->at(index) = number_of<std::size_t>(row.text(3));
}

SchemaReport report_of(const pq::Row& row) {
  SchemaReport report;
  report.schema = row.text(1);
  report.result = result_from(row.text(2));
  report.from = number_of<RevisionNumber>(row.text(3));
  report.revision = number_of<RevisionNumber>(row.text(4));
  report.steps = number_of<std::uint32_t>(row.text(5));
  report.tries = number_of<std::uint32_t>(row.text(6));
  report.duration = std::chrono::milliseconds(number_of<std::int64_t>(row.text(7)));
  if (row.is_null(10)) {
    return report;
  }
  report.failure = std::make_unique<Failure>();
  report.failure->sqlstate = row.text(8);
  report.failure->revision = row.text(9);
  report.failure->message = row.text(10);
  report.failure->hint = row.text(11);
  if (!row.is_null(12)) {
    report.failure->place = Place{.file = std::string(row.text(12)),
                                  .line = number_of<int>(row.text(13)),
                                  .column = number_of<int>(row.text(14)),
                                  .text = {}};
  }
  return report;
}

}  // namespace

std::string_view to_text(RunState state) {
  switch (state) {
    case RunState::running:
      return "running";
    case RunState::ok:
      return "ok";
    case RunState::failed:
      return "failed";
    case RunState::interrupted:
      return "interrupted";
    case RunState::abandoned:
      return "abandoned";
    case RunState::unknown:
      break;
  }
  return "unknown";
}

namespace {

bool may_have_changed(Result result) {
  switch (result) {
    case Result::applied:
    case Result::failed:
    case Result::busy:
    case Result::in_doubt:
    case Result::interrupted:
      return true;
    case Result::unchanged:
    case Result::missing:
    case Result::unmarked:
    case Result::foreign:
    case Result::gone:
    case Result::not_started:
      break;
  }
  return false;
}

// A schema without a row was never come to, or its row was lost with the run: nobody knows.
std::vector<std::string> chosen_schemas(const RunRecord& run, const std::vector<RunSchema>& schemas,
                                        Scope scope, bool (*chooses)(Result)) {
  std::set<std::string> names;
  for (const RunGroup& group : run.start.groups) {
    if (group.scope == scope) {
      names.insert(group.schemas.begin(), group.schemas.end());
    }
  }
  for (const RunSchema& schema : schemas) {
    if (schema.scope != scope) {
      continue;
    }
    if (chooses(schema.report.result)) {
      names.insert(schema.report.schema);
    } else {
      names.erase(schema.report.schema);
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<RunGroup> groups_of(const FleetPlan& plan, Scope scope) {
  std::vector<RunGroup> groups;
  for (const FleetPlan::Group& group : plan.groups) {
    RunGroup one;
    one.scope = scope;
    one.from = group.work.plan.from.head;
    one.to = group.work.plan.to.head;
    for (const Step& step : group.work.plan.steps) {
      if (step.runs_sql()) {
        one.revisions.push_back(step.revision->title());
      }
    }
    one.count = group.schemas.size();
    const bool is_problem_group = group.problem && is_problem(group.result);
    if (!group.work.plan.empty() || is_problem_group) {
      one.schemas = group.schemas;
    }
    groups.push_back(std::move(one));
  }
  return groups;
}

std::vector<std::string> unfinished_schemas(const RunRecord& run,
                                            const std::vector<RunSchema>& schemas, Scope scope) {
  return chosen_schemas(run, schemas, scope, &is_problem);
}

std::vector<std::string> touched_schemas(const RunRecord& run,
                                         const std::vector<RunSchema>& schemas, Scope scope) {
  return chosen_schemas(run, schemas, scope, &may_have_changed);
}

void RunLedger::write(std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(owners_));
  messages.insert(messages.begin(), impatience());
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write,
                        pq::Clock::now() + patience);
  } catch (const pq::ServerError& error) {
    explain(error);
  }
}

void RunLedger::read(std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(owners_));
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only,
                        pq::Clock::now() + 120s);
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      explain(error);
    }
  }
}

// Under a lock, so that of two first runs at once the second finds what the first made.
void RunLedger::install() {
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
                        pq::Clock::now() + patience);
  } catch (const pq::ServerError& error) {
    explain(error);
  }
}

void RunLedger::begin(const RunStart& run, bool locks) {
  const auto messages = [&] {
    std::vector<pq::Message> all;
    all.push_back(insert_run(run, locks));
    if (locks) {
      all.push_back(lock(run.id));
    }
    return all;
  };
  try {
    write(messages());
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      throw;
    }
    install();
    write(messages());
  }
}

void RunLedger::hold(const std::string& run_id) {
  std::vector<pq::Message> messages;
  messages.push_back(lock(run_id));
  write(std::move(messages));
}

void RunLedger::add(const std::string& run_id, const std::vector<RunSchema>& schemas) {
  std::vector<pq::Message> messages;
  // Rows lost with the server are schemas that nobody claims to be done.
  messages.push_back({.sql = "SELECT pg_catalog.set_config('synchronous_commit', 'off', true)"});
  if (!schemas.empty()) {
    messages.push_back(insert_schemas(run_id, schemas));
  }
  messages.push_back(
      {.sql = "UPDATE tenantctl.run SET seen_at = pg_catalog.clock_timestamp() WHERE id = $1",
       .values = {run_id}});
  write(std::move(messages));
}

void RunLedger::end(const std::string& run_id, const RunEnd& end,
                    const std::vector<RunSchema>& schemas) {
  std::vector<pq::Message> messages;
  if (!schemas.empty()) {
    messages.push_back(insert_schemas(run_id, schemas));
  }
  messages.push_back(update_run(run_id, end));
  messages.push_back(unlock(run_id));
  write(std::move(messages));
}

void RunLedger::record(const RunStart& run, const RunEnd& end,
                       const std::vector<RunSchema>& schemas) {
  const auto messages = [&] {
    std::vector<pq::Message> all;
    all.push_back(insert_run(run, false));
    all.push_back(backdate_run(run.id, schemas));
    if (!schemas.empty()) {
      all.push_back(insert_schemas(run.id, schemas));
    }
    all.push_back(update_run(run.id, end));
    return all;
  };
  try {
    write(messages());
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      throw;
    }
    install();
    write(messages());
  }
}

std::vector<RunRecord> RunLedger::select(const std::string& condition,
                                         std::vector<std::optional<std::string>> values) {
  std::vector<RunRecord> records;
  std::map<std::string, std::size_t, std::less<>> indexes;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT {} FROM tenantctl.run r {}", run_columns(), condition),
       .values = values,
       .on_row = [&](const pq::Row& row) {
         indexes.try_emplace(std::string(row.text(0)), records.size());
         records.push_back(record_of(row));
       }});
  messages.push_back(
      {.sql = fmt::format("SELECT w.id, s.key, c.key, c.value FROM (SELECT r.id, r.counts FROM "
                          "tenantctl.run r {}) w, pg_catalog.jsonb_each(w.counts) s, "
                          "pg_catalog.jsonb_each_text(s.value) c",
                          condition),
       .values = values,
       .on_row = [&](const pq::Row& row) {
         // A run may have begun between the two.
         if (const auto at = indexes.find(row.text(0)); at != indexes.end()) {
           take_count(records[at->second], row);
         }
       }});
  read(std::move(messages));
  return records;
}

std::vector<RunRecord> RunLedger::newest(std::size_t limit) {
  return select("ORDER BY r.started_at DESC, r.id LIMIT $1", {fmt::to_string(limit)});
}

RunRecord RunLedger::find(const std::string& prefix) {
  const std::string plain = lowered(prefix);
  const bool is_id =
      !plain.empty() && plain.find_first_not_of("0123456789abcdef-") == std::string::npos;
  if (!is_id) {
    throw UsageError(fmt::format("\"{}\" is no run's id", escaped(prefix)),
                     "tenantctl runs lists them; the first digits are enough.");
  }
  std::vector<RunRecord> records = select(
      "WHERE pg_catalog.starts_with(r.id::text, $1) ORDER BY r.started_at DESC LIMIT 2", {plain});
  if (records.empty()) {
    throw UsageError(fmt::format("there is no run {}", plain), "tenantctl runs lists them.");
  }
  if (records.size() > 1) {
    throw UsageError(fmt::format("several runs begin with {}", plain),
                     fmt::format("{} is the newest of them.", records.front().start.id));
  }
  records.front().start.groups = groups(records.front().start.id);
  return std::move(records.front());
}

std::vector<RunGroup> RunLedger::groups(const std::string& run_id) {
  std::vector<RunGroup> all;
  const std::string from_groups =
      "FROM tenantctl.run r, pg_catalog.jsonb_array_elements(r.plan) WITH ORDINALITY AS g (item, "
      "number)";
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT g.item->>'scope', g.item->>'from', g.item->>'to', g.item->>'count' " +
              from_groups + " WHERE r.id = $1 ORDER BY g.number",
       .values = {run_id},
       .on_row = [&](const pq::Row& row) {
         RunGroup group;
         group.scope = scope_from_text(row.text(0)).value_or(Scope::tenant);
         group.from = number_of<RevisionNumber>(row.text(1));
         group.to = number_of<RevisionNumber>(row.text(2));
         group.count = number_of<std::size_t>(row.text(3));
         all.push_back(std::move(group));
       }});
  for (const std::string_view key : {"revisions", "schemas"}) {
    messages.push_back(
        {.sql = fmt::format("SELECT g.number, e.value {}, pg_catalog.jsonb_array_elements_text("
                            "g.item->'{}') WITH ORDINALITY AS e (value, place) "
                            "WHERE r.id = $1 ORDER BY g.number, e.place",
                            from_groups, key),
         .values = {run_id},
         .on_row = [&all, key](const pq::Row& row) {
           RunGroup& group = all.at(number_of<std::size_t>(row.text(0)) - 1);
           (key == "schemas" ? group.schemas : group.revisions).emplace_back(row.text(1));
         }});
  }
  read(std::move(messages));
  return all;
}

std::vector<std::string> RunLedger::retries(const std::string& run_id) {
  std::vector<std::string> ids;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "WITH RECURSIVE later AS (SELECT r.id, r.started_at FROM tenantctl.run r "
              "WHERE r.of_run = $1 AND r.command = 'retry' UNION "
              "SELECT r.id, r.started_at FROM tenantctl.run r JOIN later ON r.of_run = later.id "
              "WHERE r.command = 'retry') SELECT later.id FROM later "
              "ORDER BY later.started_at DESC, later.id",
       .values = {run_id},
       .on_row = [&ids](const pq::Row& row) { ids.emplace_back(row.text(0)); }});
  read(std::move(messages));
  return ids;
}

std::vector<RunSchema> RunLedger::schemas(const std::string& run_id) {
  std::vector<RunSchema> all;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT s.scope, s.schema, s.result, s.from_revision, s.revision, s.steps, s.tries, "
              "s.duration_ms, s.sqlstate, s.failed_revision, s.message, s.hint, s.file, s.line, "
              "s.line_column FROM tenantctl.run_schema s WHERE s.run_id = $1 "
              "ORDER BY s.scope, s.schema COLLATE pg_catalog.\"C\"",
       .values = {run_id},
       .on_row = [&all](const pq::Row& row) {
         all.push_back({.scope = scope_from_text(row.text(0)).value_or(Scope::tenant),
                        .report = report_of(row)});
       }});
  read(std::move(messages));
  return all;
}

}  // namespace tenantctl
