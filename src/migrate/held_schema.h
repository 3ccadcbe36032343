#pragma once

#include <string>

#include "migrate/version_table.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// A schema that nobody migrates while this lives: holds its lock, on a session of its own (no
/// pooler may stand in between), and on demand a snapshot of the database as it was then.
class HeldSchema {
 public:
  /// Throws UnavailableError if another session holds the lock, Error if the schema is gone,
  /// ConnectFailed, ConnectionLost.
  HeldSchema(const pq::ConnectOptions& connect, const VersionTable& table, pq::Deadline deadline);

  struct Snapshot {
    std::string name;  ///< for pg_dump --snapshot
    std::string mark;  ///< of the version table, as of then
    std::string at;    ///< UTC
  };
  /// Keeps a transaction open until the object goes.
  Snapshot take(pq::Deadline deadline);

  pq::Connection& connection() { return connection_; }

 private:
  pq::Connection connection_;
  pq::Pipeline pipeline_;
  const VersionTable& table_;
};

}  // namespace tenantctl
