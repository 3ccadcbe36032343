#include "migrate/autocommit_run.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "migrate/failure.h"

namespace tenantctl {
namespace {

using sql::StatementKind;
using IndexState = ConcurrentIndex::State;

bool is_concurrent(StatementKind kind) {
  return kind == StatementKind::create_index_concurrently ||
         kind == StatementKind::drop_index_concurrently ||
         kind == StatementKind::reindex_concurrently;
}

std::string_view text_of(const sql::Script& script, const sql::Statement& statement) {
  return std::string_view(script.text())
      .substr(statement.first_token, statement.end - statement.first_token);
}

// ALTER TYPE ... ADD VALUE: said twice, the server knows that the value is there (42710).
bool adds_value(std::string_view text) {
  const std::string sql = lowered(text);
  return sql.starts_with("alter type") && sql.find("add value") != std::string::npos;
}

}  // namespace

bool is_resumable(const sql::Script& script, const sql::Statement& statement) {
  const std::string_view text = text_of(script, statement);
  if (is_concurrent(statement.kind)) {
    // To build once more what was built already does no harm.
    return statement.kind == StatementKind::reindex_concurrently ||
           sql::index_name(text).has_value();
  }
  const std::string begin = lowered(text.substr(0, 8));
  return begin.starts_with("vacuum") || begin.starts_with("analyze") ||
         begin.starts_with("reindex") || sets_session(script, statement) || adds_value(text);
}

AutocommitRun::AutocommitRun(const SegmentWriter& writer, const Step& step, std::size_t index)
    : writer_(writer), step_(step), index_(index), row_(step.row), was_under_way_(step.resumes) {
  row_.state = RowState::running;
  if (!step.resumes) {
    row_.reverting = step.kind == Step::Kind::downgrade;
    row_.confirmed = 0;
    row_.statement_digest = statements_digest(step.section(), 0);
  }
}

const sql::Statement& AutocommitRun::statement() const {
  return step_.section().script.statements()[row_.confirmed];
}

// By the name as it is sent: it may hold a placeholder.
std::optional<ConcurrentIndex> AutocommitRun::index() const {
  if (!is_concurrent(statement().kind)) {
    return std::nullopt;
  }
  const auto name = sql::index_name(writer_.rendered(step_, row_.confirmed));
  if (!name) {
    return std::nullopt;
  }
  return ConcurrentIndex(writer_.table().schema(), *name);
}

std::optional<Segment> AutocommitRun::next() {
  switch (phase_) {
    case Phase::lock:
      return SegmentWriter::alone(index_, Part::lock, writer_.table().lock_session());
    case Phase::start:
      return writer_.start(index_, row_);
    case Phase::inspect:
    case Phase::verify:
      return SegmentWriter::alone(index_, Part::row, index()->inspect(index_state_));
    case Phase::look_for_leftovers:
      return SegmentWriter::alone(index_, Part::row,
                                  ConcurrentIndex::leftovers(writer_.table().schema(), leftovers_));
    case Phase::drop_leftover: {
      const auto dropped = leftovers_.empty()
                               ? *index()
                               : ConcurrentIndex(writer_.table().schema(), leftovers_.back());
      return SegmentWriter::alone(index_, Part::row, dropped.drop());
    }
    case Phase::statement:
      return writer_.statement(index_, row_.confirmed);
    case Phase::progress:
      ++row_.confirmed;
      row_.statement_digest = statements_digest(step_.section(), row_.confirmed);
      return writer_.record(index_, writer_.table().progress(row_));
    case Phase::finish:
      return writer_.finish(index_);
    case Phase::note_failure:
      return writer_.record(index_, writer_.table().failed_at(row_, *noted_));
    case Phase::release:
      return SegmentWriter::alone(index_, Part::release, VersionTable::discard());
    case Phase::over:
      break;
  }
  return std::nullopt;
}

void AutocommitRun::fold(const pq::FlightAnswer& answer,
                         const std::vector<Segment::Origin>& origins) {
  if (answer.failure() == nullptr) {
    advance();
  } else {
    refuse(answer, origins);
  }
}

void AutocommitRun::advance() {
  switch (phase_) {
    case Phase::lock:
      phase_ = Phase::start;
      break;
    case Phase::start:
    case Phase::progress:
      phase_ = next_statement();
      break;
    case Phase::inspect:
      phase_ = after_inspection();
      break;
    case Phase::look_for_leftovers:
      phase_ = leftovers_.empty() ? Phase::statement : Phase::drop_leftover;
      break;
    case Phase::drop_leftover:
      if (!leftovers_.empty()) {
        leftovers_.pop_back();
      }
      phase_ = leftovers_.empty() ? Phase::statement : Phase::drop_leftover;
      break;
    case Phase::statement:
      phase_ = statement().kind != StatementKind::drop_index_concurrently && index()
                   ? Phase::verify
                   : Phase::progress;
      break;
    case Phase::verify:
      phase_ = after_verification();
      break;
    case Phase::finish:
      verdict_ = Verdict::done;
      phase_ = Phase::release;
      break;
    case Phase::note_failure:
      phase_ = Phase::release;
      break;
    case Phase::release:
    case Phase::over:
      phase_ = Phase::over;
      break;
  }
}

void AutocommitRun::stop() {
  const bool is_sending = phase_ == Phase::inspect || phase_ == Phase::look_for_leftovers ||
                          phase_ == Phase::drop_leftover || phase_ == Phase::statement;
  const bool is_beginning = phase_ == Phase::lock || phase_ == Phase::start;
  if (verdict_ != Verdict::open || (!is_sending && !is_beginning)) {
    return;
  }
  pq::ServerFields error;
  error.sqlstate = "57014";
  error.message = "the run was interrupted before this statement";
  verdict_ = Verdict::failed;
  failure_ = failure_of(error, {index_, Part::row, 0}, step_, writer_);
  noted_ = std::move(error);
  if (is_sending) {
    phase_ = Phase::note_failure;
  } else {
    phase_ = phase_ == Phase::lock ? Phase::over : Phase::release;
  }
}

AutocommitRun::Phase AutocommitRun::next_statement() {
  if (row_.confirmed == statement_count()) {
    return Phase::finish;
  }
  if (!std::exchange(was_under_way_, false)) {
    return Phase::statement;
  }
  if (statement().kind == StatementKind::reindex_concurrently) {
    return Phase::look_for_leftovers;
  }
  return index() ? Phase::inspect : Phase::statement;
}

AutocommitRun::Phase AutocommitRun::after_inspection() {
  const StatementKind kind = statement().kind;
  if (index_state_ == IndexState::building) {
    verdict_ = Verdict::busy;
    return Phase::release;
  }
  if (kind == StatementKind::create_index_concurrently) {
    if (index_state_ == IndexState::valid) {
      return Phase::progress;
    }
    return index_state_ == IndexState::invalid ? Phase::drop_leftover : Phase::statement;
  }
  const bool dropped = kind == StatementKind::drop_index_concurrently;
  return dropped && index_state_ == IndexState::absent ? Phase::progress : Phase::statement;
}

// IF NOT EXISTS says yes to an index that was left invalid by somebody else.
AutocommitRun::Phase AutocommitRun::after_verification() {
  if (index_state_ != IndexState::invalid && index_state_ != IndexState::building) {
    return Phase::progress;
  }
  pq::ServerFields error;
  error.sqlstate = "55000";
  error.message = "the index is there but not valid";
  error.hint = "It was left half-built before this run: drop it, then run the command again.";
  verdict_ = Verdict::failed;
  failure_ = failure_of(error, {index_, Part::statement, row_.confirmed}, step_, writer_);
  noted_ = std::move(error);
  return Phase::note_failure;
}

// The run before ended without a word, and this is the first statement that it may have sent.
bool AutocommitRun::has_happened(const pq::ServerFields& error) const {
  const bool unknown = step_.resumes && !step_.row.failed && row_.confirmed == step_.row.confirmed;
  return phase_ == Phase::statement && unknown && error.is("42710") &&
         adds_value(text_of(step_.section().script, statement()));
}

// A failure while noting a failure or letting the lock go changes nothing about the first one.
void AutocommitRun::refuse(const pq::FlightAnswer& answer,
                           const std::vector<Segment::Origin>& origins) {
  const pq::Answer& failed = *answer.failure();
  const auto at = static_cast<std::size_t>(&failed - answer.answers.data());
  if (has_happened(*failed.error)) {
    phase_ = Phase::progress;
    return;
  }
  if (verdict_ == Verdict::open) {
    verdict_ = verdict_of(*failed.error, origins[at].part);
    failure_ = failure_of(*failed.error, origins[at], step_, writer_);
  }
  if (phase_ == Phase::statement) {
    noted_ = failed.error;
    phase_ = Phase::note_failure;
  } else if (phase_ == Phase::lock || phase_ == Phase::release) {
    phase_ = Phase::over;
  } else {
    phase_ = Phase::release;
  }
}

}  // namespace tenantctl
