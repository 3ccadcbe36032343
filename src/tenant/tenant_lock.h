#pragma once

#include <string>

#include "pq/pipeline.h"
#include "pq/server_error.h"

namespace tenantctl {

/// Whoever moves, renames or drops a tenant of the registry holds its lock, so that no two of them
/// meet. A move, which takes many transactions, holds it with its session; what one transaction
/// does, with that one, through a pooler too. Nobody waits for it.
struct TenantLock {
  /// Until the session ends; false if another session has it.
  static pq::Message try_session(const std::string& tenant_id, bool& is_locked);
  /// Whether nobody has it; until the transaction ends nobody else can.
  static pq::Message probe(const std::string& tenant_id, bool& is_free);
  /// The same as part of what is done under it: fails with what is_refusal() knows.
  static pq::Message hold(const std::string& tenant_id);
  static bool is_refusal(const pq::ServerFields& fields);
};

}  // namespace tenantctl
