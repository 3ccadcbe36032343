#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "base/error.h"
#include "pq/pipeline.h"
#include "rollout/fleet_plan.h"

namespace tenantctl {

/// What a plan asks of pg_index: PostgreSQL (15.20; 15.18 does not) reads all of it for each ALTER
/// TABLE ... ADD COLUMN ... DEFAULT. It has a row for every index of every tenant, so that such a
/// rollout grows with the square of the fleet. Statements in DO and functions are not seen.
struct IndexScans {
  std::size_t count = 0;  ///< such statements, each times its schemas
  Place first;            ///< of the first such statement; without text

  /// What they take of the server's time, estimated from one measurement: 40 ms where pg_index had
  /// 162,000 rows.
  std::chrono::milliseconds duration(std::size_t indexes) const;
};

IndexScans count_index_scans(const FleetPlan& plan);

/// How many rows pg_index has: as the server last counted, else counted now. Throws ServerError,
/// ConnectionLost.
std::size_t read_index_count(pq::Pipeline& pipeline, pq::Deadline deadline);

/// Tried on a server of this version (PQserverVersion), it does not read pg_index for that.
bool spares_index_scans(int server_version);

/// What to say before the rollout; empty if it is not worth it (up to ten seconds).
std::string index_scan_warning(const IndexScans& scans, std::size_t indexes);

}  // namespace tenantctl
