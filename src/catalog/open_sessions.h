#pragma once

#include <string>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// Somebody whom one has to wait for.
struct OpenSession {
  std::string transaction;  ///< the virtual one; of a prepared transaction its name
  std::string pid;          ///< empty: a prepared transaction
  std::string who;          ///< `role app (pid 4711, psql)`
};

/// Transactions that are open in the session's database, but its own and autovacuum's. Everybody
/// may see them, but not when a stranger's began. Throws ServerError, ConnectionLost.
std::vector<OpenSession> read_open_transactions(pq::Pipeline& pipeline, pq::Deadline deadline);

/// Clients that are connected to a database, but the backends named.
std::vector<OpenSession> read_connected(pq::Pipeline& pipeline, const std::string& database,
                                        const std::vector<int>& but, pq::Deadline deadline);

/// Ends their sessions, as far as the current role may.
void end_sessions(pq::Pipeline& pipeline, const std::vector<OpenSession>& sessions,
                  pq::Deadline deadline);

/// The first few by name.
std::string named_sessions(const std::vector<OpenSession>& sessions);

}  // namespace tenantctl
