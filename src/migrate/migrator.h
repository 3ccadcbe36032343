#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "migrate/autocommit_run.h"
#include "migrate/failure.h"
#include "migrate/options.h"
#include "migrate/outcome.h"
#include "migrate/plan.h"
#include "migrate/segment.h"
#include "migrate/segment_writer.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// Takes one schema along a plan: makes the segments to send and folds their answers into an
/// Outcome. Knows neither connection nor clock, so that a test can answer for the server, and the
/// same code serves one schema and ten thousand in flight.
///
///   Migrator migrator(schema, plan, options);
///   while (auto segment = migrator.next()) migrator.fold(send(*segment));
///
/// A migrator makes one attempt. The plan (and its folder) and the options must outlive it, and it
/// stays where it is while a segment is sent.
class Migrator {
 public:
  Migrator(const SchemaName& schema, const Plan& plan, const MigrateOptions& options);
  ~Migrator() = default;
  Migrator(const Migrator&) = delete;
  Migrator& operator=(const Migrator&) = delete;

  /// The next segment, or nothing when the attempt is over (outcome().verdict is not open then).
  std::optional<Segment> next();

  /// The answers to the segment that next() gave last.
  void fold(const pq::FlightAnswer& answer);

  /// Gives up the segment that next() gave last, which was not sent: outside a transaction what
  /// follows only records and lets the lock go. next() tells.
  void stop();
  /// The segment under way is bookkeeping outside a transaction, not to be cancelled.
  bool is_recording() const { return alone_ && origins_.front().part != Part::statement; }

  /// From now on transactions count their locks: see Segment::count_locks().
  void count_locks(std::size_t& most) { most_locks_ = &most; }

  const Outcome& outcome() const { return outcome_; }

  /// The segment under way may leave settings, temporary tables and the like in the session, which
  /// the next schema must not meet: DISCARD ALL is due behind it.
  bool leaves_traces() const;

 private:
  void fold_transactions(const pq::FlightAnswer& answer);
  void fold_autocommit(const pq::FlightAnswer& answer);
  Verdict verdict_in(const pq::ServerFields& error, const Segment::Origin& origin) const;
  void pass(std::size_t step);
  void end(Verdict verdict, const pq::ServerFields& error, const Segment::Origin& origin);

  const Plan& plan_;
  SegmentWriter writer_;
  Outcome outcome_;
  std::size_t step_ = 0;                  ///< the first step whose end is not known yet
  std::vector<Segment::Origin> origins_;  ///< of the segment under way
  bool alone_ = false;
  std::optional<AutocommitRun> autocommit_;
  std::size_t* most_locks_ = nullptr;  ///< not owned; null: nobody asks
};

}  // namespace tenantctl
