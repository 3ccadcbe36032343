#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// Whose rows go, and from where.
struct ErasedTenant {
  std::string id;      ///< what stands in the tenant column
  std::string home;    ///< the schema
  std::string column;  ///< the tenant column's name
};

/// What was deleted from one table.
struct ErasedRows {
  std::string table;
  std::uint64_t rows = 0;
};

/// Deletes a tenant's rows from every table of a home that has the tenant column: tables that refer
/// to others first, in batches, each a transaction. Row security is an aid, not an obstacle: the
/// tenant is set while its rows go, so that a policy lets through what is to go and nothing else.
///
/// The tenant must be closed (no longer `ready`) before; run() may be given again after any end.
class RowEraser {
 public:
  /// `patience` with an answer.
  RowEraser(pq::Pipeline& pipeline, ErasedTenant tenant, std::chrono::milliseconds patience);

  /// Who had entered before the tenant was closed may still write: deletes, waits up to `wait` for
  /// transactions that are open now, and deletes what they left. Throws Error if they stay open,
  /// ServerError, ConnectionLost.
  std::vector<ErasedRows> run(std::chrono::milliseconds wait);
  /// The same where nobody can have entered: what a move left, or was stopped at.
  std::vector<ErasedRows> run_alone();

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + patience_; }
  void read_tables();
  void erase_all();
  std::uint64_t erase(const std::vector<std::size_t>& tables, bool batched);
  std::vector<std::string> open_transactions();
  void wait_for(std::vector<std::string> transactions, std::chrono::milliseconds wait);

  pq::Pipeline& pipeline_;
  ErasedTenant tenant_;
  std::chrono::milliseconds patience_;
  std::vector<ErasedRows> tables_;
  std::vector<std::vector<std::size_t>> steps_;  ///< several tables: they refer to each other
};

}  // namespace tenantctl
