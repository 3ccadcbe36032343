#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// The two tables of the ledger: how they are made, whose they must be, and every transaction on
/// them. RunLedger's own; it says what is thrown.
class LedgerTables {
 public:
  /// `patience` with what is read; what is written has less.
  LedgerTables(pq::Pipeline& pipeline, std::vector<std::string> owners,
               std::chrono::milliseconds patience)
      : pipeline_(pipeline), owners_(std::move(owners)), patience_(patience) {}

  void write(std::vector<pq::Message> messages);
  /// The same, where a first run makes the tables: then `messages` is asked once more.
  void write_or_make(const std::function<std::vector<pq::Message>()>& messages);
  /// Nothing, where there are no tables.
  void read(std::vector<pq::Message> messages);

 private:
  void make();

  pq::Pipeline& pipeline_;
  std::vector<std::string> owners_;
  std::chrono::milliseconds patience_;
};

/// SQL of the advisory key by which the run of this id (an SQL expression) is known to live.
std::string lock_key(std::string_view id);

}  // namespace tenantctl
