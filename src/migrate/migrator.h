#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/outcome.h"
#include "migrate/plan.h"
#include "migrate/segment.h"
#include "migrate/version_table.h"
#include "sql/script.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// How revisions run; the same for every schema of a run.
struct MigrateOptions {
  TableOptions table;
  std::string shared_schema = "shared";
  bool shared_in_path = false;  ///< the user's SQL of tenants sees the shared schema unqualified
  std::vector<std::string> search_path_extra;
  std::chrono::milliseconds lock_timeout{1'000};
  /// Outside a transaction, where a wait that fails leaves an invalid index behind.
  std::chrono::milliseconds concurrent_lock_timeout{30'000};
  std::chrono::milliseconds statement_timeout{0};  ///< 0: none
  sql::Variables variables;                        ///< --var name=value
  int server_version = 0;                          ///< settings differ by version
  bool discard_between = true;                     ///< false behind a pooler
};

/// Takes one schema along a plan: makes the segments to send and folds their answers into an
/// Outcome. Knows neither connection nor clock, so that a test can answer for the server, and the
/// same code serves one schema and ten thousand in flight.
///
///   Migrator migrator(schema, plan, options);
///   while (auto segment = migrator.next()) migrator.fold(send(*segment));
///
/// A migrator makes one attempt. The plan (and its folder) and the options must outlive it.
class Migrator {
 public:
  Migrator(const SchemaName& schema, const Plan& plan, const MigrateOptions& options);

  /// The next segment, or nothing when the attempt is over (outcome().verdict is not open then).
  std::optional<Segment> next();

  /// The answers to the segment that next() gave last.
  void fold(const pq::FlightAnswer& answer);

  const Outcome& outcome() const { return outcome_; }

  /// The session may hold settings, temporary tables and the like that the next schema must not
  /// meet: DISCARD ALL is due.
  bool leaves_traces() const { return leaves_traces_; }

 private:
  /// Outside a transaction: lock, record, each statement and its progress, finish, release.
  enum class Phase { lock, start, statement, progress, finish, note_failure, release };

  Segment transactional_segment();
  void add_step(Segment& segment, std::size_t index);
  void add_begin(Segment& segment, std::size_t index, std::chrono::milliseconds lock_timeout);
  void add_fence(Segment& segment, std::size_t index);
  void add_sql(Segment& segment, std::size_t index);
  void add_reset(Segment& segment, std::size_t index);
  void add_bookkeeping(Segment& segment, std::size_t index);
  void add_end(Segment& segment, std::size_t index, const Mark& mark);

  Segment autocommit_segment();
  Segment start_segment();
  Segment progress_segment();
  Segment finish_segment();
  void add_small_transaction(Segment& segment, pq::Message message, const Mark* mark);

  void fold_transactional(const pq::FlightAnswer& answer);
  void fold_autocommit(const pq::FlightAnswer& answer);
  void advance_phase();
  void end(Verdict verdict, const pq::Answer& answer, const Segment::Origin& origin);
  Failure failure_of(const pq::ServerFields& error, const Segment::Origin& origin) const;

  const Step& step() const { return plan_.steps[step_]; }
  std::string rendered(const Step& step, std::size_t statement) const;
  std::string search_path() const;
  sql::Variables variables() const;

  const Plan& plan_;
  const MigrateOptions& options_;
  VersionTable table_;
  Outcome outcome_;
  bool leaves_traces_ = false;

  std::size_t step_ = 0;                  ///< the first step whose end is not known yet
  std::vector<Segment::Origin> origins_;  ///< of the segment under way
  Phase phase_ = Phase::lock;
  AppliedRevision running_;                ///< the row outside a transaction, as it is now
  std::optional<pq::ServerFields> noted_;  ///< the failure to note in its row
};

/// The verdict on a failed message, by SQLSTATE and by what the message was for.
Verdict verdict_of(const pq::ServerFields& error, Part part);

}  // namespace tenantctl
