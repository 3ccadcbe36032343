#include "migrate/migrator.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "sql/location.h"

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

std::string_view verb(const Step& step) {
  return step.kind == Step::Kind::downgrade ? "downgrade" : "upgrade";
}

bool is_contention(const pq::ServerFields& error) {
  const bool concurrently = error.message.find("tuple concurrently") != std::string::npos;
  return error.is("55P03") || error.is("40P01") || error.is("40001") ||
         (error.is("XX000") && concurrently) || (error.is("23505") && error.schema == "pg_catalog");
}

std::string hint_of(const pq::ServerFields& error) {
  if (error.is("42883") || error.is("42704")) {
    return "If an extension provides it, name the extension's schema with search-path-extra.";
  }
  if (error.is("55P04")) {
    return "A new enum value can be used only after it is committed: split the revision in two.";
  }
  if (error.is("25001")) {
    return "Put the statement alone into a revision whose section says transaction:false.";
  }
  if (error.is("57014")) {
    return "The statement was cancelled, or took longer than --statement-timeout.";
  }
  return error.hint;
}

}  // namespace

Verdict verdict_of(const pq::ServerFields& error, Part part) {
  if (error.is(refusal::gone))
    return Verdict::gone;
  if (error.is(refusal::busy))
    return Verdict::busy;
  if (error.is(refusal::moved))
    return Verdict::moved;
  if (error.is(refusal::foreign))
    return Verdict::foreign;
  if (part == Part::begin && error.is("25P02"))
    return Verdict::refused;
  if (is_contention(error))
    return Verdict::contention;
  // Another run made the schema or the table first.
  const bool exists = error.is("42P06") || error.is("42P07") || error.is("23505");
  if (part == Part::install && exists)
    return Verdict::moved;
  if (part == Part::fence && (error.is("42P01") || error.is("3F000")))
    return Verdict::moved;
  if (error.is("53100") || error.is("53200") || error.is("53400"))
    return Verdict::exhausted;
  return Verdict::failed;
}

Migrator::Migrator(const SchemaName& schema, const Plan& plan, const MigrateOptions& options)
    : plan_(plan), options_(options), table_(schema, options.table) {
  outcome_.mark = plan.from;
  if (plan.empty())
    outcome_.verdict = Verdict::done;
}

std::optional<Segment> Migrator::next() {
  if (outcome_.verdict != Verdict::open && phase_ != Phase::note_failure &&
      phase_ != Phase::release) {
    return std::nullopt;
  }
  if (outcome_.verdict != Verdict::open && step().in_transaction())
    return std::nullopt;
  Segment segment = step().in_transaction() ? transactional_segment() : autocommit_segment();
  origins_ = segment.origins;
  return segment;
}

Segment Migrator::transactional_segment() {
  Segment segment;
  for (std::size_t i = step_; i < plan_.steps.size(); ++i) {
    if (!plan_.steps[i].in_transaction() || segment.messages.size() > max_messages)
      break;
    add_step(segment, i);
  }
  return segment;
}

void Migrator::add_step(Segment& segment, std::size_t index) {
  const Step& step = plan_.steps[index];
  add_begin(segment, index,
            step.revision != nullptr && step.revision->lock_timeout ? *step.revision->lock_timeout
                                                                    : options_.lock_timeout);
  if (step.creates_schema)
    segment.add(table_.create_schema(), {index, Part::install, 0});
  add_fence(segment, index);
  if (step.creates_table)
    segment.add(table_.create_table(), {index, Part::install, 0});
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

void Migrator::add_begin(Segment& segment, std::size_t index,
                         std::chrono::milliseconds lock_timeout) {
  segment.add({.sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}, {index, Part::begin, 0});
  segment.add(settings(options_, lock_timeout), {index, Part::settings, 0});
}

void Migrator::add_fence(Segment& segment, std::size_t index) {
  const Step& step = plan_.steps[index];
  VersionTable::Expected expected{.installs = step.creates_table, .digest = step.expected};
  if (step.resumes)
    expected.running = step.row.number;
  if (step.kind == Step::Kind::record && index == 0)
    expected.running = plan_.from.running;
  segment.add(table_.fence(expected), {index, Part::fence, 0});
}

void Migrator::add_sql(Segment& segment, std::size_t index) {
  const Step& step = plan_.steps[index];
  segment.add(
      {.sql = "SELECT pg_catalog.set_config('search_path', $1, true)", .values = {search_path()}},
      {index, Part::settings, 0});
  const auto& statements = step.section().script.statements();
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const bool checks_guard = statements[i].kind == StatementKind::set_constraints;
    leaves_traces_ = leaves_traces_ || statements[i].leaves_traces;
    if (checks_guard)
      segment.add(table_.lift_guard(step.row), {index, Part::row, 0});
    segment.add({.sql = rendered(step, i)}, {index, Part::statement, i});
    if (!checks_guard)
      continue;
    for (pq::Message& message : table_.set_guard(step.row)) {
      segment.add(std::move(message), {index, Part::row, 0});
    }
  }
}

// What the revision may have set must not reach our own statements: not LOCAL, because a plain SET
// of the revision's would come back at COMMIT.
void Migrator::add_reset(Segment& segment, std::size_t index) {
  segment.add({.sql = "RESET SESSION AUTHORIZATION"}, {index, Part::close, 0});
  segment.add({.sql = "RESET ROLE"}, {index, Part::close, 0});
  segment.add({.sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"},
              {index, Part::close, 0});
}

void Migrator::add_bookkeeping(Segment& segment, std::size_t index) {
  const Step& step = plan_.steps[index];
  if (step.kind == Step::Kind::upgrade)
    segment.add(table_.close(step.row), {index, Part::close, 0});
  if (step.kind == Step::Kind::downgrade) {
    segment.add(table_.close_and_remove(step.row), {index, Part::close, 0});
  }
  for (const RowChange& change : step.changes) {
    segment.add(table_.change(change, step.origin), {index, Part::row, 0});
  }
}

void Migrator::add_end(Segment& segment, std::size_t index, const Mark& mark) {
  segment.add(table_.mark(mark), {index, Part::mark, 0});
  segment.add({.sql = "COMMIT"}, {index, Part::commit, 0});
}

Segment Migrator::autocommit_segment() {
  Segment segment;
  switch (phase_) {
    case Phase::lock:
      segment.add(table_.lock_session(), {step_, Part::lock, 0});
      break;
    case Phase::start:
      segment = start_segment();
      break;
    case Phase::statement:
      segment.add({.sql = rendered(step(), running_.confirmed)},
                  {step_, Part::statement, running_.confirmed});
      break;
    case Phase::progress:
      segment = progress_segment();
      break;
    case Phase::finish:
      segment = finish_segment();
      break;
    case Phase::note_failure:
      add_small_transaction(segment, table_.failed_at(running_, *noted_), nullptr);
      break;
    case Phase::release:
      segment.add(table_.unlock_session(), {step_, Part::release, 0});
      break;
  }
  segment.alone = true;
  return segment;
}

void Migrator::add_small_transaction(Segment& segment, pq::Message message, const Mark* mark) {
  add_begin(segment, step_, options_.lock_timeout);
  segment.add(std::move(message), {step_, Part::row, 0});
  if (mark != nullptr)
    segment.add(table_.mark(*mark), {step_, Part::mark, 0});
  segment.add({.sql = "COMMIT"}, {step_, Part::commit, 0});
}

// The row says `running` before the first statement runs, and the session's own settings follow
// the transaction: SET LOCAL has no meaning outside of one.
Segment Migrator::start_segment() {
  Segment segment;
  running_ = step().row;
  running_.state = RowState::running;
  if (!step().resumes) {
    running_.reverting = step().kind == Step::Kind::downgrade;
    running_.confirmed = 0;
    running_.statement_digest = statements_digest(step().section(), 0);
  }
  add_begin(segment, step_, options_.lock_timeout);
  add_fence(segment, step_);
  segment.add(step().kind == Step::Kind::upgrade && !step().resumes
                  ? table_.insert_running(running_)
                  : table_.start_running(running_),
              {step_, Part::row, 0});
  Mark mark = step_ == 0 ? plan_.from : plan_.steps[step_ - 1].mark;
  mark.running = running_.number;
  if (step().kind == Step::Kind::downgrade) {
    mark = Mark(step().mark);
    mark.running = running_.number;
  }
  add_end(segment, step_, mark);
  segment.add({.sql = "SELECT pg_catalog.set_config('search_path', $1, false), "
                      "pg_catalog.set_config('lock_timeout', $2, false), "
                      "pg_catalog.set_config('statement_timeout', $3, false), "
                      "pg_catalog.set_config('synchronous_commit', 'on', false), "
                      "pg_catalog.set_config('standard_conforming_strings', 'on', false)",
               .values = {search_path(), milliseconds(options_.concurrent_lock_timeout),
                          milliseconds(options_.statement_timeout)}},
              {step_, Part::settings, 0});
  return segment;
}

Segment Migrator::progress_segment() {
  Segment segment;
  ++running_.confirmed;
  running_.statement_digest = statements_digest(step().section(), running_.confirmed);
  add_small_transaction(segment, table_.progress(running_), nullptr);
  return segment;
}

Segment Migrator::finish_segment() {
  Segment segment;
  add_begin(segment, step_, options_.lock_timeout);
  segment.add(step().kind == Step::Kind::upgrade ? table_.finish_running(step().row)
                                                 : table_.remove(step().row),
              {step_, Part::row, 0});
  for (const RowChange& change : step().changes) {
    segment.add(table_.change(change, step().origin), {step_, Part::row, 0});
  }
  add_end(segment, step_, step().mark);
  return segment;
}

void Migrator::fold(const pq::FlightAnswer& answer) {
  if (plan_.steps[origins_.front().step].in_transaction()) {
    fold_transactional(answer);
  } else {
    fold_autocommit(answer);
  }
  if (outcome_.verdict == Verdict::open && step_ == plan_.steps.size()) {
    outcome_.verdict = Verdict::done;
  }
}

void Migrator::fold_transactional(const pq::FlightAnswer& answer) {
  for (std::size_t i = 0; i < answer.answers.size(); ++i) {
    const Segment::Origin& origin = origins_[i];
    const pq::Answer& one = answer.answers[i];
    if (one.kind == pq::Answer::Kind::failed) {
      end(verdict_of(*one.error, origin.part), one, origin);
      return;
    }
    if (origin.part != Part::commit)
      continue;
    // A failed transaction answers COMMIT with success and the tag ROLLBACK.
    if (one.tag != "COMMIT") {
      pq::Answer rolled_back = one;
      rolled_back.error = pq::ServerFields{.sqlstate = std::string(refusal::escaped),
                                           .message = "the server answered COMMIT with " + one.tag};
      end(Verdict::failed, rolled_back, origin);
      return;
    }
    outcome_.mark = plan_.steps[origin.step].mark;
    ++outcome_.steps_done;
    step_ = origin.step + 1;
  }
}

void Migrator::fold_autocommit(const pq::FlightAnswer& answer) {
  for (std::size_t i = 0; i < answer.answers.size(); ++i) {
    const pq::Answer& one = answer.answers[i];
    if (one.kind != pq::Answer::Kind::failed)
      continue;
    const Segment::Origin& origin = origins_[i];
    // A failure while noting a failure or releasing the lock changes nothing about the first one.
    if (outcome_.verdict == Verdict::open)
      end(verdict_of(*one.error, origin.part), one, origin);
    if (phase_ == Phase::statement) {
      noted_ = one.error;
      phase_ = Phase::note_failure;
    } else if (phase_ == Phase::lock || phase_ == Phase::release) {
      phase_ = Phase::lock;
    } else {
      phase_ = Phase::release;
    }
    return;
  }
  advance_phase();
}

void Migrator::advance_phase() {
  const std::size_t count = step().section().script.statements().size();
  switch (phase_) {
    case Phase::lock:
      phase_ = Phase::start;
      break;
    case Phase::start:
      phase_ = running_.confirmed < count ? Phase::statement : Phase::finish;
      break;
    case Phase::statement:
      phase_ = Phase::progress;
      break;
    case Phase::progress:
      phase_ = running_.confirmed < count ? Phase::statement : Phase::finish;
      break;
    case Phase::finish:
      outcome_.mark = step().mark;
      ++outcome_.steps_done;
      phase_ = Phase::release;
      break;
    case Phase::note_failure:
      phase_ = Phase::release;
      break;
    case Phase::release:
      phase_ = Phase::lock;
      if (outcome_.verdict == Verdict::open)
        ++step_;
      break;
  }
}

void Migrator::end(Verdict verdict, const pq::Answer& answer, const Segment::Origin& origin) {
  outcome_.verdict = verdict;
  outcome_.failure = failure_of(*answer.error, origin);
}

Failure Migrator::failure_of(const pq::ServerFields& error, const Segment::Origin& origin) const {
  const Step& step = plan_.steps[origin.step];
  Failure failure{.message = error.message,
                  .hint = hint_of(error),
                  .sqlstate = error.sqlstate,
                  .revision = {},
                  .place = std::nullopt};
  if (!error.detail.empty())
    failure.message += ": " + error.detail;
  if (step.revision == nullptr)
    return failure;
  const Revision& revision = *step.revision;
  const Section& section = step.section();
  failure.revision = revision.title();
  if (error.is("23503") && error.constraint == "tenantctl_guard") {
    failure.message = "the revision's own text tried to commit; nothing of it was kept";
    failure.hint = "Leave COMMIT out, also out of what it calls or executes.";
  }
  if (origin.part == Part::statement) {
    const sql::Statement& statement = section.script.statements()[origin.statement];
    std::size_t byte = statement.first_token;
    if (error.position > 0) {
      const std::string sent = section.script.rendered(statement, variables());
      const auto at =
          sql::Location::at_character(sent, static_cast<std::size_t>(error.position)).byte();
      byte = section.script.source_byte(statement, variables(), at);
    }
    failure.place = place_of(revision, section, byte);
  } else {
    failure.place = Place{.file = revision.file, .line = 0, .column = 0, .text = {}};
  }
  failure.message =
      fmt::format("{} of revision {} failed: {}", verb(step), revision.title(), failure.message);
  return failure;
}

std::string Migrator::rendered(const Step& step, std::size_t statement) const {
  const sql::Script& script = step.section().script;
  return script.rendered(script.statements()[statement], variables());
}

sql::Variables Migrator::variables() const {
  sql::Variables all = options_.variables;
  all["schema"] = table_.schema().text();
  all["tenant"] = table_.schema().text();
  all["shared_schema"] = options_.shared_schema;
  return all;
}

// pg_temp last, or a temporary table would shadow the tenant's.
std::string Migrator::search_path() const {
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
