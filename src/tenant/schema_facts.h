#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pq/pipeline.h"

namespace tenantctl {

/// What the catalog says of one schema as a whole: for people who look at a tenant.
struct SchemaFacts {
  std::string owner;
  std::size_t tables = 0;
  std::size_t relations = 0;           ///< tables, views, sequences; not indexes
  std::optional<std::uint64_t> bytes;  ///< on disk with indexes; nothing if a lock kept it from us
};

/// Nothing if there is no such schema. Throws ServerError, ConnectionLost.
std::optional<SchemaFacts> read_schema_facts(pq::Pipeline& pipeline, const std::string& schema,
                                             pq::Deadline deadline);

}  // namespace tenantctl
