#include "rollout/run_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace tenantctl {
namespace {

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
  return {
      .sql = fmt::format(
          "INSERT INTO tenantctl.run (id, command, target, of_run, state, db_user, os_user, host, "
          "job, tool_version, shared_digest, tenant_digest, locked, plan) SELECT $1, $2, $3, "
          "$4, 'running', CASE WHEN CURRENT_USER = SESSION_USER THEN SESSION_USER::text "
          "ELSE SESSION_USER || ' as ' || CURRENT_USER END, $5, $6, $7, $8, $9, $10, {}, "
          "COALESCE((SELECT pg_catalog.jsonb_agg("
          "pg_catalog.jsonb_build_object('scope', g.scope, 'from', g.origin::bigint, "
          "'to', g.goal::bigint, 'revisions', g.revisions::text[], 'count', g.count::bigint, "
          "'schemas', g.schemas::text[]) ORDER BY g.number) FROM {} WITH ORDINALITY "
          "AS g (scope, origin, goal, revisions, count, schemas, number)), '[]') "
          // Sent again when the answer to the first was lost.
          "ON CONFLICT (id) DO NOTHING",
          locks, rows_from(11, {"text", "text", "text", "text", "text", "text"})),
      .values = {run.id, run.command, run.target, or_null(run.of_run), or_null(run.os_user),
                 or_null(run.host), or_null(run.job), run.tool_version, or_null(run.shared_digest),
                 or_null(run.tenant_digest), scopes.text(), froms.text(), tos.text(),
                 revisions.text(), counts.text(), schemas.text()}};
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

}  // namespace

void RunLedger::begin(const RunStart& run, bool locks) {
  const auto messages = [&] {
    std::vector<pq::Message> all;
    all.push_back(insert_run(run, locks));
    if (locks) {
      all.push_back(lock(run.id));
    }
    return all;
  };
  tables_.write_or_make(messages);
}

void RunLedger::hold(const std::string& run_id) {
  std::vector<pq::Message> messages;
  messages.push_back(lock(run_id));
  tables_.write(std::move(messages));
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
  tables_.write(std::move(messages));
}

void RunLedger::end(const std::string& run_id, const RunEnd& end,
                    const std::vector<RunSchema>& schemas) {
  std::vector<pq::Message> messages;
  if (!schemas.empty()) {
    messages.push_back(insert_schemas(run_id, schemas));
  }
  messages.push_back(update_run(run_id, end));
  messages.push_back(unlock(run_id));
  tables_.write(std::move(messages));
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
  tables_.write_or_make(messages);
}

}  // namespace tenantctl
