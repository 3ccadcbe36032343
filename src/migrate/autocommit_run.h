#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "migrate/concurrent_index.h"
#include "migrate/outcome.h"
#include "migrate/segment_writer.h"

namespace tenantctl {

/// One revision outside a transaction, under the schema's session lock: its row says `running`,
/// each statement is sent alone and recorded once the server confirmed it, then the row says
/// `applied`. Where a statement works on an index CONCURRENTLY, the catalog says what became of it:
/// what an interrupted run finished is adopted, what it left half-built is dropped and built again,
/// and none counts as applied while it is invalid.
///
/// One attempt, like Migrator, which drives it. Must not move while a segment is sent.
class AutocommitRun {
 public:
  AutocommitRun(const SegmentWriter& writer, const Step& step, std::size_t index);

  /// The next segment, or nothing when the attempt is over and the lock released.
  std::optional<Segment> next();
  void fold(const pq::FlightAnswer& answer, const std::vector<Segment::Origin>& origins);

  /// Begins no further statement: notes that the next one was not sent, and lets the lock go.
  void stop();

  Verdict verdict() const { return verdict_; }
  const std::optional<Failure>& failure() const { return failure_; }

 private:
  enum class Phase {
    lock,
    start,
    inspect,             ///< resumed: what became of the statement that was under way?
    look_for_leftovers,  ///< of a REINDEX that was interrupted
    drop_leftover,       ///< an invalid index of ours
    statement,
    verify,  ///< the index must be valid now
    progress,
    finish,
    note_failure,
    release,
    over
  };

  void advance();
  Phase next_statement();
  Phase after_inspection();
  Phase after_verification();
  bool has_happened(const pq::ServerFields& error) const;
  void refuse(const pq::FlightAnswer& answer, const std::vector<Segment::Origin>& origins);
  std::size_t statement_count() const { return step_.section().script.statements().size(); }
  const sql::Statement& statement() const;
  std::optional<ConcurrentIndex> index() const;

  const SegmentWriter& writer_;
  const Step& step_;
  std::size_t index_;
  Phase phase_ = Phase::lock;
  AppliedRevision row_;  ///< as it stands in the table
  bool was_under_way_;   ///< the first statement may have run already
  ConcurrentIndex::State index_state_ = ConcurrentIndex::State::absent;
  std::vector<std::string> leftovers_;  ///< of a REINDEX, still to be dropped
  Verdict verdict_ = Verdict::open;
  std::optional<Failure> failure_;
  std::optional<pq::ServerFields> noted_;
};

/// A statement that was under way when a run ended may be sent again: the catalog can tell whether
/// it happened, or it does no harm twice (VACUUM, ANALYZE, SET).
bool is_resumable(const sql::Script& script, const sql::Statement& statement);

}  // namespace tenantctl
