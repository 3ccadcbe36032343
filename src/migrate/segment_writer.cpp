#include "migrate/segment_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "pq/session_options.h"
#include "pq/stop_point.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using sql::StatementKind;

// A segment is bounded so that a stop is: what is sent may still commit.
constexpr std::size_t max_messages = 2'000;

std::string milliseconds(std::chrono::milliseconds time) {
  return fmt::format("{}ms", time.count());
}

constexpr std::string_view begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
constexpr std::string_view entry_name = "tenantctl_entry";
constexpr std::string_view behind_name = "tenantctl_behind";

std::string role_value(const MigrateOptions& options) {
  return options.role.empty() ? "NULL" : quote_literal(options.role);
}

// A role or database may set any of these otherwise; LOCAL beats both and leaves nothing behind.
// The role is the run's own whatever a trigger of the schema before may have set; behind the
// authorization, which takes it along. $1 and $2 are the lock and the statement timeout.
std::string settings(const MigrateOptions& options, std::string_view search_path) {
  std::string sql = fmt::format(
      "pg_catalog.set_config('session_authorization', NULL, true), "
      "pg_catalog.set_config('role', {}, true), "
      "pg_catalog.set_config('search_path', {}, true), "
      "pg_catalog.set_config('lock_timeout', $1, true), "
      "pg_catalog.set_config('statement_timeout', $2, true), "
      "pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', true), "
      "pg_catalog.set_config('synchronous_commit', 'on', true), "
      "pg_catalog.set_config('standard_conforming_strings', 'on', true), "
      "pg_catalog.set_config('client_encoding', 'UTF8', true), "
      "pg_catalog.set_config('check_function_bodies', 'on', true), "
      "pg_catalog.set_config('exit_on_error', 'off', true), "
      "pg_catalog.set_config('client_min_messages', 'warning', true)",
      role_value(options), search_path);
  if (pq::limits_transactions(options.server_version)) {
    sql += ", pg_catalog.set_config('transaction_timeout', '0', true)";
  }
  // Without its triggers the guard guards nothing. Only a superuser may set it, and there nearly
  // always is nothing to set; a role whose database says otherwise is refused by the server. The
  // operator with its schema: behind the RESET ALL of a pooler's session the path is the role's.
  sql +=
      ", CASE WHEN pg_catalog.current_setting('session_replication_role') "
      "OPERATOR(pg_catalog.<>) 'origin' "
      "THEN pg_catalog.set_config('session_replication_role', 'origin', true) END";
  // A server that notices a dead client ends its statement and frees the locks; 14 and later.
  if (options.server_version >= 140000) {
    sql += ", pg_catalog.set_config('client_connection_check_interval', '2s', true)";
  }
  return sql;
}

std::string entry_sql(const MigrateOptions& options) {
  return fmt::format("SELECT {},\n{}", settings(options, "'pg_catalog, pg_temp'"),
                     VersionTable::entry_condition(options.table.owners, 3));
}

std::string behind_sql(const MigrateOptions& options) {
  return "SELECT " + settings(options, "$3");
}

// A function that no text names (of a trigger, a domain, an operator) may have set something for
// the session. The path again, because a session that was started without our options has the
// role's. Behind a pooler the session is somebody else's, too: only the path, for this transaction,
// so that nothing planted in front of pg_catalog is found by what follows. The role where a schema
// is made before the entry says it, and where the session has another.
void add_begin(Segment& segment, std::size_t index, const MigrateOptions& options,
               bool creates_schema) {
  const bool takes_role = !options.role.empty() && (creates_schema || !options.direct);
  segment.add({.sql = std::string(begin)}, {index, Part::begin, 0});
  if (options.direct) {
    segment.add({.sql = "RESET ALL"}, {index, Part::begin, 0});
  }
  segment.add({.sql = takes_role ? fmt::format("SELECT pg_catalog.set_config('search_path', "
                                               "'pg_catalog, pg_temp', {}){}",
                                               !options.direct, pq::and_act_as(options.role, true))
                                 : fmt::format("SET {}search_path = pg_catalog, pg_temp",
                                               options.direct ? "" : "LOCAL ")},
              {index, Part::begin, 0});
}

// In any case, also across lines: one mention too many costs one message.
bool mentions(std::string_view text, std::string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
           return lowered(std::string_view(&a, 1)) == lowered(std::string_view(&b, 1));
         }) != text.end();
}

// Rows are written with the session's role and path, put back if the text may have changed them.
bool is_inert(const sql::Statement& statement) {
  return statement.inert && !statement.leaves_traces;
}

}  // namespace

SegmentWriter::SegmentWriter(const SchemaName& schema, const Plan& plan,
                             const MigrateOptions& options)
    : plan_(plan),
      options_(options),
      table_(schema, options.table),
      variables_(variables_of(schema, options)) {}

sql::Variables variables_of(const SchemaName& schema, const MigrateOptions& options) {
  sql::Variables variables = options.variables;
  variables["schema"] = schema.text();
  variables["tenant"] = schema.text();
  variables["shared_schema"] = options.shared_schema;
  return variables;
}

pq::Message fence(const VersionTable& table, const MigrateOptions& options) {
  pq::Message message{
      .sql = entry_sql(options),
      .values = {milliseconds(options.lock_timeout), milliseconds(options.statement_timeout)}};
  for (auto& value : table.entry_values(false, VersionTable::Hold::transaction)) {
    message.values.push_back(std::move(value));
  }
  return message;
}

pq::Message sql_settings(const MigrateOptions& options, std::chrono::milliseconds lock_timeout,
                         const std::string& search_path) {
  return {
      .sql = behind_sql(options),
      .values = {milliseconds(lock_timeout), milliseconds(options.statement_timeout), search_path}};
}

bool sets_session(const sql::Script& script, const sql::Statement& statement) {
  const std::string begin =
      lowered(std::string_view(script.text())
                  .substr(statement.first_token, statement.end - statement.first_token)
                  .substr(0, 6));
  return begin.starts_with("set") || begin.starts_with("reset");
}

std::vector<pq::Message> session_setup(const MigrateOptions& options) {
  std::vector<pq::Message> setup = pq::session_settings(options.server_version, 0, options.role);
  setup.push_back({.sql = "DEALLOCATE ALL"});
  setup.push_back({.sql = fmt::format("PREPARE {} (text, text, name, name, bool, bool) AS {}",
                                      entry_name, entry_sql(options))});
  setup.push_back({.sql = fmt::format("PREPARE {} (text, text, text) AS {}", behind_name,
                                      behind_sql(options))});
  return setup;
}

Segment SegmentWriter::transactions(std::size_t first) const {
  const std::size_t last = last_of(first);
  const bool keeps = options_.direct && keeps_session(first, last);
  Segment segment;
  segment.holds_lock = keeps && last - first > 1;
  for (std::size_t i = first; i < last; ++i) {
    const Entry together = i == first ? Entry::first : Entry::behind;
    add_step(segment, i, segment.holds_lock ? together : keeps ? Entry::alone : Entry::unprepared);
  }
  if (segment.holds_lock) {
    segment.add(VersionTable::unlock_all(), {last - 1, Part::release, 0});
  }
  return segment;
}

// A revision that leaves traces may also take our lock or our prepared statements along.
bool SegmentWriter::keeps_session(std::size_t first, std::size_t last) const {
  return std::none_of(
      plan_.steps.begin() + static_cast<std::ptrdiff_t>(first),
      plan_.steps.begin() + static_cast<std::ptrdiff_t>(last),
      [](const Step& step) { return step.runs_sql() && may_leave_traces(step.section()); });
}

// By name, by a loop over all tables of the schema, or by what changes the owner of everything.
bool SegmentWriter::reaches_table(const Step& step) const {
  const std::string_view text = step.section().script.text();
  const std::string_view table = options_.table.name;
  return may_leave_traces(step.section()) || mentions(text, table) || mentions(text, "reassign") ||
         mentions(text, "owner to") || mentions(text, "u&\"") ||
         std::any_of(options_.variables.begin(), options_.variables.end(),
                     [table](const auto& variable) { return mentions(variable.second, table); });
}

// Definitions cannot commit: their row may come behind them. A repeatable's old row is guarded.
bool SegmentWriter::is_guarded(const Step& step) const {
  if (pq::is_off(pq::Protection::guard) || pq::is_off(pq::Protection::order)) {
    return false;
  }
  const auto& statements = step.section().script.statements();
  return step.applies_again || !std::all_of(statements.begin(), statements.end(), is_inert) ||
         reaches_table(step);
}

// One behind the last step of the segment that begins with `first`.
std::size_t SegmentWriter::last_of(std::size_t first) const {
  std::size_t messages = 0;
  std::size_t i = first;
  for (; i < plan_.steps.size() && plan_.steps[i].in_transaction() && messages <= max_messages;
       ++i) {
    const Step& step = plan_.steps[i];
    messages += step.changes.size() +
                (step.runs_sql() ? step.section().script.statements().size() : 0) + 10;
  }
  return i;
}

void SegmentWriter::add_step(Segment& segment, std::size_t index, Entry entry) const {
  const Step& step = plan_.steps[index];
  add_entry(segment, index, entry);
  if (step.creates_table) {
    segment.add(table_.create_table(), {index, Part::install, 0});
    segment.add(table_.keep_to_owner(), {index, Part::install, 0});
    if (!options_.table.readers.empty()) {
      segment.add(table_.let_read(), {index, Part::install, 0});
    }
  }
  if (step.creates_table && step.runs_sql()) {
    segment.add(
        {.sql = "SELECT pg_catalog.set_config('search_path', $1, true)", .values = {search_path()}},
        {index, Part::settings, 0});
  }
  if (step.runs_sql()) {
    add_sql(segment, index);
  }
  if (pq::is_off(pq::Protection::order)) {
    segment.add({.sql = "COMMIT"}, {index, Part::row, 0});
    segment.add({.sql = std::string(begin)}, {index, Part::row, 0});
  }
  add_bookkeeping(segment, index);
  add_end(segment, index, step.mark);
}

void SegmentWriter::add_entry(Segment& segment, std::size_t index, Entry entry) const {
  const Step& step = plan_.steps[index];
  add_begin(segment, index, options_, step.creates_schema);
  if (step.creates_schema) {
    segment.add(table_.create_schema(), {index, Part::install, 0});
  }
  if (entry == Entry::behind) {
    segment.add(behind_message(index), {index, Part::settings, 0});
    return;
  }
  segment.add(entry_message(index, entry), {index, Part::fence, 0});
  if (!step.creates_table) {
    segment.add(step.runs_sql() ? table_.place(expected(index), search_path())
                                : table_.place(expected(index)),
                {index, Part::fence, 0});
  }
}

std::chrono::milliseconds SegmentWriter::lock_timeout(std::size_t index) const {
  const Revision* revision = plan_.steps[index].revision;
  const bool has_own = revision != nullptr && revision->lock_timeout;
  return has_own ? *revision->lock_timeout : options_.lock_timeout;
}

pq::Message SegmentWriter::entry_message(std::size_t index, Entry entry) const {
  const auto hold =
      entry == Entry::first ? VersionTable::Hold::session : VersionTable::Hold::transaction;
  pq::Message message{
      .sql = entry_sql(options_),
      .values = {milliseconds(lock_timeout(index)), milliseconds(options_.statement_timeout)},
      .prepared = entry == Entry::unprepared ? std::string_view() : entry_name};
  for (auto& value : table_.entry_values(plan_.steps[index].creates_table, hold)) {
    message.values.push_back(std::move(value));
  }
  return message;
}

pq::Message SegmentWriter::behind_message(std::size_t index) const {
  return {.sql = behind_sql(options_),
          .values = {milliseconds(lock_timeout(index)), milliseconds(options_.statement_timeout),
                     search_path()},
          .prepared = behind_name};
}

VersionTable::Expected SegmentWriter::expected(std::size_t index) const {
  const Step& step = plan_.steps[index];
  VersionTable::Expected expected{.digest = step.expected,
                                  .run_id = step.expected_run,
                                  .repeatables = step.expected_repeatables};
  if (step.resumes) {
    expected.running = step.row.number;
    expected.progress = VersionTable::progress_text(step.row);
  }
  if (step.kind == Step::Kind::record && index == 0) {
    expected.running = plan_.from.running;
  }
  return expected;
}

pq::Message SegmentWriter::first_row(const Step& step) const {
  if (step.kind == Step::Kind::downgrade) {
    return table_.guard(step.row);
  }
  return step.applies_again ? table_.guard_again(step.row)
                            : table_.insert_guarded(step.row, step.origin);
}

void SegmentWriter::add_sql(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  const bool guarded = is_guarded(step);
  if (guarded) {
    segment.add(first_row(step), {index, Part::row, 0});
  }
  const auto& statements = step.section().script.statements();
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const bool checks_guard = statements[i].kind == StatementKind::set_constraints;
    if (checks_guard) {
      segment.add(take_own_role(), {index, Part::row, 0});
      segment.add(table_.lift_guard(step.row), {index, Part::row, 0});
      segment.add(give_role_back(), {index, Part::row, 0});
    }
    segment.add({.sql = rendered(step, i)}, {index, Part::statement, i});
    if (!checks_guard) {
      continue;
    }
    segment.add(take_own_role(), {index, Part::row, 0});
    for (pq::Message& message : table_.set_guard(step.row)) {
      segment.add(std::move(message), {index, Part::row, 0});
    }
    segment.add(give_role_back(), {index, Part::row, 0});
  }
  if (!options_.direct && may_leave_traces(step.section())) {
    add_undo(segment, index);
  }
  if (guarded) {
    add_reset(segment, index);
  }
  if (guarded && reaches_table(step)) {
    const bool stands = step.kind == Step::Kind::downgrade;
    segment.add(table_.untouched(step.row, step.mark.count + (stands ? 1 : 0)),
                {index, Part::close, 0});
  }
}

// The role that a revision has taken may not write the version table.
pq::Message SegmentWriter::take_own_role() const {
  return {.sql = fmt::format(
              "SELECT pg_catalog.set_config('tenantctl.authorization', "
              "pg_catalog.current_setting('session_authorization'), true), "
              "pg_catalog.set_config('tenantctl.role', pg_catalog.current_setting('role'), "
              "true), pg_catalog.set_config('session_authorization', NULL, true), "
              "pg_catalog.set_config('role', {}, true)",
              role_value(options_))};
}

pq::Message SegmentWriter::give_role_back() {
  return {.sql =
              "SELECT pg_catalog.set_config('session_authorization', "
              "pg_catalog.current_setting('tenantctl.authorization'), true), "
              "pg_catalog.set_config('role', pg_catalog.current_setting('tenantctl.role'), "
              "true)"};
}

// A pooler gives the session to somebody else after COMMIT, before a DISCARD ALL could follow. Its
// prepared statements are the pooler's own.
void SegmentWriter::add_undo(Segment& segment, std::size_t index) const {
  for (const char* sql : {"RESET ALL", "DISCARD TEMP", "UNLISTEN *", "CLOSE ALL"}) {
    segment.add({.sql = sql}, {index, Part::close, 0});
  }
  segment.add(VersionTable::unlock_all(), {index, Part::close, 0});
  segment.add(record_settings(index), {index, Part::close, 0});
}

// What the revision may have set must not reach our own statements. Role and authorization are not
// put back LOCAL, because a plain SET of the revision's would come back at COMMIT; a role of the
// run's own is, because behind a pooler the session is somebody else's then.
void SegmentWriter::add_reset(Segment& segment, std::size_t index) const {
  segment.add(
      {.sql = fmt::format("SELECT pg_catalog.set_config('session_authorization', NULL, false), "
                          "pg_catalog.set_config('role', NULL, false){}, "
                          "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
                          "pg_catalog.set_config('client_encoding', 'UTF8', true)",
                          pq::and_act_as(options_.role, !options_.direct))},
      {index, Part::close, 0});
}

void SegmentWriter::add_bookkeeping(Segment& segment, std::size_t index) const {
  const Step& step = plan_.steps[index];
  const bool guarded = step.runs_sql() && is_guarded(step);
  if (step.kind == Step::Kind::upgrade) {
    segment.add(guarded ? table_.close(step.row) : table_.insert_finished(step.row, step.origin),
                {index, guarded ? Part::close : Part::row, 0});
  }
  if (step.kind == Step::Kind::downgrade) {
    segment.add(guarded ? table_.close_and_remove(step.row) : table_.remove_finished(step.row),
                {index, Part::close, 0});
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
  add_begin(segment, step, options_, false);
  segment.add(entry_message(step, Entry::unprepared), {step, Part::fence, 0});
  segment.add(table_.place(expected(step)), {step, Part::fence, 0});
  segment.add(is_new ? table_.insert_running(row) : table_.start_running(row),
              {step, Part::row, 0});
  // While it runs the mark counts what is applied beyond doubt: for both directions, what stands
  // without this revision.
  const Mark& before = step == 0 ? plan_.from : plan_.steps[step - 1].mark;
  Mark mark = upgrades ? before : plan_.steps[step].mark;
  mark.running = row.number;
  add_end(segment, step, mark);
  segment.add(
      {.sql = std::string("SELECT pg_catalog.set_config('search_path', $1, false), "
                          "pg_catalog.set_config('lock_timeout', $2, false), "
                          "pg_catalog.set_config('statement_timeout', $3, false), "
                          "pg_catalog.set_config('synchronous_commit', 'on', false), "
                          "pg_catalog.set_config('standard_conforming_strings', 'on', false), "
                          "pg_catalog.set_config('default_transaction_read_only', 'off', false), "
                          "pg_catalog.set_config('client_min_messages', 'warning', false)") +
              pq::and_act_as(options_.role, false),
       .values = {search_path(), milliseconds(options_.concurrent_lock_timeout),
                  milliseconds(options_.statement_timeout)}},
      {step, Part::settings, 0});
  // What ran before an interruption is not repeated, but what it set went with its session.
  const sql::Script& script = plan_.steps[step].section().script;
  for (std::size_t i = 0; i < row.confirmed && i < script.statements().size(); ++i) {
    if (sets_session(script, script.statements()[i])) {
      segment.add({.sql = rendered(plan_.steps[step], i)}, {step, Part::statement, i});
    }
  }
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
  segment.add({.sql = std::string(begin)}, {step, Part::begin, 0});
  segment.add(record_settings(step), {step, Part::settings, 0});
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
  segment.add({.sql = std::string(begin)}, {step, Part::begin, 0});
  segment.add(record_settings(step), {step, Part::settings, 0});
  segment.add(std::move(message), {step, Part::row, 0});
  segment.add({.sql = "COMMIT"}, {step, Part::commit, 0});
  return segment;
}

// The session has the user's search_path there, and the lock.
pq::Message SegmentWriter::record_settings(std::size_t step) const {
  pq::Message message = behind_message(step);
  message.values.back() = "pg_catalog, pg_temp";
  message.prepared = {};
  return message;
}

Segment SegmentWriter::alone(std::size_t step, Part part, pq::Message message) {
  Segment segment;
  segment.alone = true;
  segment.discards = part == Part::release;
  segment.add(std::move(message), {step, part, 0});
  return segment;
}

std::string SegmentWriter::rendered(const Step& step, std::size_t statement) const {
  const sql::Script& script = step.section().script;
  std::string sql = script.rendered(script.statements()[statement], variables_);
  return step.plainly ? sql::without_concurrently(sql) : sql;
}

// pg_temp last, or a temporary table would shadow the tenant's.
std::string search_path_of(const SchemaName& schema, Scope scope, const MigrateOptions& options) {
  std::string path = schema.quoted();
  if (options.shared_in_path && scope == Scope::tenant) {
    path += ", " + quote_identifier(options.shared_schema);
  }
  for (const std::string& extra : options.search_path_extra) {
    path += ", " + quote_identifier(extra);
  }
  return path + ", pg_temp";
}

std::string SegmentWriter::search_path() const {
  return search_path_of(table_.schema(), plan_.to.scope, options_);
}

}  // namespace tenantctl
