#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "catalog/audit.h"

namespace tenantctl {

struct ProbeOptions {
  std::size_t pairs = 20;
  std::uint64_t seed = 0;  ///< the same seed tries the same pairs of the same fleet
};

/// What was tried.
struct ProbeReport {
  std::uint64_t seed = 0;
  std::size_t possible = 0;  ///< pairs of tenants of this database that have a role
  std::size_t pairs = 0;
  std::size_t attempts = 0;
  std::size_t denied = 0;
  std::vector<AuditFinding> findings;  ///< P0 to P4
};

/// Tries to cross: as one tenant's role, in a transaction that is always rolled back, at what
/// belongs to another. Reads are made; writes and calls are planned and started but not executed
/// (EXPLAIN), which is where PostgreSQL asks for the right, so that no trigger and no function of
/// the tenant's runs; of a sequence only the right is asked for. In a home of shared rows the rows
/// themselves are asked for, and an INSERT under the other's name is made. Whatever is neither
/// denied nor allowed is a finding, P0.
///
/// `patience` with an answer. Throws ConnectionLost.
ProbeReport probe_isolation(pq::Pipeline& pipeline, const AuditFacts& facts,
                            const ProbeOptions& options, std::chrono::milliseconds patience);

}  // namespace tenantctl
