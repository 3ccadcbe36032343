#include "cli/move_transactions.h"

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
  if (away_ != nullptr)
    away_->commit();
  here_->commit();
}

}  // namespace tenantctl::cli
