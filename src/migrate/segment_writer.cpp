#include "migrate/segment_writer.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"

namespace tenantctl {
namespace {

using sql::StatementKind;

// A segment is bounded so that a stop is: what is sent may still commit.
constexpr std::size_t max_messages = 2'000;

std::string milliseconds(std::chrono::milliseconds time) {
  return fmt::format("{}ms", time.count());
}

// A role or database may set any of these otherwise; LOCAL beats both and leaves nothing behind.
pq::Message settings(const MigrateOptions& options, std::chrono::milliseconds lock_timeout) {
  std::string sql =
      "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
      "pg_catalog.set_config('lock_timeout', $1, true), "
      "pg_catalog.set_config('statement_timeout', $2, true), "
      "pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', true), "
      "pg_catalog.set_config('synchronous_commit', 'on', true), "
      "pg_catalog.set_config('standard_conforming_strings', 'on', true), "
      "pg_catalog.set_config('client_encoding', 'UTF8', true), "
      "pg_catalog.set_config('check_function_bodies', 'on', true), "
      "pg_catalog.set_config('client_min_messages', 'warning', true)";
  // A server that notices a dead client ends its statement and frees the locks; 14 and later.
  if (options.server_version >= 140000) {
    sql += ", pg_catalog.set_config('client_connection_check_interval', '2s', true)";
  }
  return {.sql = std::move(sql),
          .values = {milliseconds(lock_timeout), milliseconds(options.statement_timeout)}};
}

}  // namespace

SegmentWriter::SegmentWriter(const SchemaName& schema, const Plan& plan,
                             const MigrateOptions& options)
    : plan_(plan), options_(options), table_(schema, options.table), variables_(options.variables) {
  variables_["schema"] = schema.text();
  variables_["tenant"] = schema.text();
  variables_["shared_schema"] = options.shared_schema;
}

Segment SegmentWriter::transactions(std::size_t first) const {
  Segment segment;
  for (std::size_t i = first; i < plan_.steps.size(); ++i) {
    if (!plan_.steps[i].in_transaction() || segment.messages.size() > max_messages) {
      break;
    }
    add_step(segment, i);
  }
  return segment;
}

void SegmentWriter::add_step(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  add_begin(segment, index);
  if (step.creates_schema) {
    segment.add(table_.create_schema(), {index, Part::install, 0});
  }
  add_fence(segment, index);
  if (step.creates_table) {
    segment.add(table_.create_table(), {index, Part::install, 0});
  }
  if (step.runs_sql()) {
    segment.add(step.kind == Step::Kind::upgrade ? table_.insert_guarded(step.row, step.origin)
                                                 : table_.guard(step.row),
                {index, Part::row, 0});
    add_sql(segment, index);
    add_reset(segment, index);
  }
  add_bookkeeping(segment, index);
  add_end(segment, index, step.mark);
}

void SegmentWriter::add_begin(Segment& segment, std::size_t index) const {
  const Revision* revision = plan_.steps[index].revision;
  const bool has_own = revision != nullptr && revision->lock_timeout;
  const auto lock_timeout = has_own ? *revision->lock_timeout : options_.lock_timeout;
  segment.add({.sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}, {index, Part::begin, 0});
  segment.add(settings(options_, lock_timeout), {index, Part::settings, 0});
}

void SegmentWriter::add_fence(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  VersionTable::Expected expected{.installs = step.creates_table, .digest = step.expected};
  if (step.resumes) {
    expected.running = step.row.number;
    expected.progress = VersionTable::progress_text(step.row);
  }
  if (step.kind == Step::Kind::record && index == 0) {
    expected.running = plan_.from.running;
  }
  segment.add(table_.fence(expected), {index, Part::fence, 0});
}

void SegmentWriter::add_sql(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  segment.add(
      {.sql = "SELECT pg_catalog.set_config('search_path', $1, true)", .values = {search_path()}},
      {index, Part::settings, 0});
  const auto& statements = step.section().script.statements();
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const bool checks_guard = statements[i].kind == StatementKind::set_constraints;
    if (checks_guard) {
      segment.add(table_.lift_guard(step.row), {index, Part::row, 0});
    }
    segment.add({.sql = rendered(step, i)}, {index, Part::statement, i});
    if (!checks_guard) {
      continue;
    }
    for (pq::Message& message : table_.set_guard(step.row)) {
      segment.add(std::move(message), {index, Part::row, 0});
    }
  }
}

// What the revision may have set must not reach our own statements: not LOCAL, because a plain SET
// of the revision's would come back at COMMIT.
void SegmentWriter::add_reset(Segment& segment, std::size_t index) {
  segment.add({.sql = "RESET SESSION AUTHORIZATION"}, {index, Part::close, 0});
  segment.add({.sql = "RESET ROLE"}, {index, Part::close, 0});
  segment.add({.sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
                      "pg_catalog.set_config('client_encoding', 'UTF8', true)"},
              {index, Part::close, 0});
}

void SegmentWriter::add_bookkeeping(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  if (step.kind == Step::Kind::upgrade) {
    segment.add(table_.close(step.row), {index, Part::close, 0});
  }
  if (step.kind == Step::Kind::downgrade) {
    segment.add(table_.close_and_remove(step.row), {index, Part::close, 0});
  }
  for (const RowChange& change : step.changes) {
    segment.add(table_.change(change, step.origin), {index, Part::row, 0});
  }
}

void SegmentWriter::add_end(Segment& segment, std::size_t index, const Mark& mark) const {
  segment.add(table_.mark(mark), {index, Part::mark, 0});
  segment.add({.sql = "COMMIT"}, {index, Part::commit, 0});
}

Segment SegmentWriter::start(std::size_t step, const AppliedRevision& row) const {
  const bool upgrades = plan_.steps[step].kind == Step::Kind::upgrade;
  const bool is_new = upgrades && !plan_.steps[step].resumes;
  Segment segment;
  segment.alone = true;
  add_begin(segment, step);
  add_fence(segment, step);
  segment.add(is_new ? table_.insert_running(row) : table_.start_running(row),
              {step, Part::row, 0});
  // While it runs the mark counts what is applied beyond doubt: for both directions, what stands
  // without this revision.
  const Mark& before = step == 0 ? plan_.from : plan_.steps[step - 1].mark;
  Mark mark = upgrades ? before : plan_.steps[step].mark;
  mark.running = row.number;
  add_end(segment, step, mark);
  segment.add({.sql = "SELECT pg_catalog.set_config('search_path', $1, false), "
                      "pg_catalog.set_config('lock_timeout', $2, false), "
                      "pg_catalog.set_config('statement_timeout', $3, false), "
                      "pg_catalog.set_config('synchronous_commit', 'on', false), "
                      "pg_catalog.set_config('standard_conforming_strings', 'on', false), "
                      "pg_catalog.set_config('client_min_messages', 'warning', false)",
               .values = {search_path(), milliseconds(options_.concurrent_lock_timeout),
                          milliseconds(options_.statement_timeout)}},
              {step, Part::settings, 0});
  return segment;
}

Segment SegmentWriter::statement(std::size_t step, std::size_t statement) const {
  Segment segment;
  segment.alone = true;
  segment.add({.sql = rendered(plan_.steps[step], statement)}, {step, Part::statement, statement});
  return segment;
}

Segment SegmentWriter::finish(std::size_t step) const {
  const Step& finished = plan_.steps[step];
  Segment segment;
  segment.alone = true;
  add_begin(segment, step);
  segment.add(finished.kind == Step::Kind::upgrade ? table_.finish_running(finished.row)
                                                   : table_.remove(finished.row),
              {step, Part::row, 0});
  for (const RowChange& change : finished.changes) {
    segment.add(table_.change(change, finished.origin), {step, Part::row, 0});
  }
  add_end(segment, step, finished.mark);
  return segment;
}

Segment SegmentWriter::record(std::size_t step, pq::Message message) const {
  Segment segment;
  segment.alone = true;
  add_begin(segment, step);
  segment.add(std::move(message), {step, Part::row, 0});
  segment.add({.sql = "COMMIT"}, {step, Part::commit, 0});
  return segment;
}

Segment SegmentWriter::alone(std::size_t step, Part part, pq::Message message) {
  Segment segment;
  segment.alone = true;
  segment.add(std::move(message), {step, part, 0});
  return segment;
}

std::string SegmentWriter::rendered(const Step& step, std::size_t statement) const {
  const sql::Script& script = step.section().script;
  return script.rendered(script.statements()[statement], variables_);
}

// pg_temp last, or a temporary table would shadow the tenant's.
std::string SegmentWriter::search_path() const {
  std::string path = table_.schema().quoted();
  if (options_.shared_in_path && plan_.to.scope == Scope::tenant) {
    path += ", " + quote_identifier(options_.shared_schema);
  }
  for (const std::string& extra : options_.search_path_extra) {
    path += ", " + quote_identifier(extra);
  }
  return path + ", pg_temp";
}

}  // namespace tenantctl
