#include "cli/move_transactions.h"

#include "pq/stop_point.h"

namespace tenantctl::cli {

MoveTransactions::MoveTransactions(const pq::ConnectOptions& here,
                                   const std::optional<pq::ConnectOptions>& away)
    : here_session_(here) {
  if (away)
    away_session_ = std::make_unique<SiteSession>(*away);
}

void MoveTransactions::begin() {
  here_ = std::make_unique<pq::OpenTransaction>(here_session_.pipeline(), patience);
  if (away_session_ != nullptr)
    away_ = std::make_unique<pq::OpenTransaction>(away_session_->pipeline(), patience);
}

void MoveTransactions::commit() {
  pq::stop_point(pq::StopPoint::move_copied, "", nullptr);
  if (away_ != nullptr)
    away_->commit();
  pq::stop_point(pq::StopPoint::move_half, "", nullptr);
  here_->commit();
  pq::stop_point(pq::StopPoint::move_committed, "", nullptr);
}

}  // namespace tenantctl::cli
