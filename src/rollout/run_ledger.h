#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rollout/ledger_tables.h"
#include "rollout/run_record.h"

namespace tenantctl {

/// All SQL about tenantctl.run and tenantctl.run_schema, the record of rollouts, in a schema of the
/// tool's own that the first run makes. Written in bulk: a transaction for many schemas.
///
/// Nothing is read or written unless schema and tables are owned by the current role or one of
/// `owners` and are ordinary tables with nobody's triggers, rules or policies (as version tables
/// are judged): checked in each transaction. Every function throws UsageError if that is not so or
/// a newer tenantctl made them, ServerError (no rights, say), ConnectionLost.
class RunLedger {
 public:
  /// `patience` with an answer to a question; what is written has less.
  RunLedger(pq::Pipeline& pipeline, std::vector<std::string> owners,
            std::chrono::milliseconds patience = std::chrono::seconds(120))
      : tables_(pipeline, std::move(owners), patience) {}

  /// Writes the run in state running and makes the tables if they are not there. With `locks` the
  /// session holds an advisory lock from here on, by which anybody can tell whether the run lives;
  /// not through a pooler.
  void begin(const RunStart& run, bool locks);
  /// Takes the run's advisory lock again, on another connection.
  void hold(const std::string& run_id);
  /// Rows for many schemas (again: replaced), and that the run lives.
  void add(const std::string& run_id, const std::vector<RunSchema>& schemas);
  void end(const std::string& run_id, const RunEnd& end, const std::vector<RunSchema>& schemas);
  /// begin() and end() in one transaction, for a run so small that it is over.
  void record(const RunStart& run, const RunEnd& end, const std::vector<RunSchema>& schemas);

  /// Newest first, without their groups. None if there is no ledger.
  std::vector<RunRecord> newest(std::size_t limit);
  /// The one run whose id begins with `prefix`, with its groups. Throws UsageError unless there is
  /// exactly one.
  RunRecord find(const std::string& prefix);
  std::vector<RunSchema> schemas(const std::string& run_id);
  /// Ids of the retries of a run and of theirs, newest first.
  std::vector<std::string> retries(const std::string& run_id);

 private:
  std::vector<RunRecord> select(const std::string& condition,
                                std::vector<std::optional<std::string>> values);
  std::vector<RunGroup> groups(const std::string& run_id);

  LedgerTables tables_;
};

}  // namespace tenantctl
