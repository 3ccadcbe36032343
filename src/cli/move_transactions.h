#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "pq/transaction.h"
#include "rollout/site_visits.h"
#include "tenant/tenant_moves.h"

namespace tenantctl::cli {

/// Both places of a move, each in a transaction; where they stand in one database, in the same.
class MoveTransactions {
 public:
  /// A table is as big as it is; a connection that died is noticed by TCP.
  static constexpr std::chrono::milliseconds patience = std::chrono::hours(24);

  /// Connects; `away` is the other database, if one of the places is there.
  MoveTransactions(const pq::ConnectOptions& here, const std::optional<pq::ConnectOptions>& away);

  SiteSession& session_of(const MovePlace& place) {
    return place.is_here() ? here_session_ : *away_session_;
  }

  void begin();
  pq::OpenTransaction& here() { return *here_; }
  pq::OpenTransaction& of(const MovePlace& place) { return place.is_here() ? *here_ : *away_; }
  /// The other database first: what it has counts for nothing until the registry says so.
  void commit();

 private:
  SiteSession here_session_;
  std::unique_ptr<SiteSession> away_session_;
  std::unique_ptr<pq::OpenTransaction> here_;
  std::unique_ptr<pq::OpenTransaction> away_;
};

}  // namespace tenantctl::cli
