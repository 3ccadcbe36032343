#pragma once

#include <string>
#include <vector>

#include "migrate/version_table.h"
#include "pq/pipeline.h"
#include "tenant/dropped_tenants.h"

namespace tenantctl {

/// Drops a tenant's schema so that it can come back, and brings it back: each in one transaction
/// under the schema's lock, together with what is to change in the registry. One lock and one row
/// of the catalog whatever the schema holds.
///
/// Both throw UnavailableError if another session holds the schema's lock, UsageError if the name
/// is taken, Error if the schema is gone, ServerError, ConnectionLost (then nobody knows).
class SchemaShelf {
 public:
  SchemaShelf(pq::Pipeline& pipeline, TableOptions table)
      : pipeline_(pipeline), table_(std::move(table)) {}

  void put_aside(const SchemaName& schema, std::vector<pq::Message> alongside,
                 pq::Deadline deadline);
  /// Returns roles that had rights and do not exist any more.
  std::vector<std::string> bring_back(const DroppedTenant& tenant,
                                      std::vector<pq::Message> alongside, pq::Deadline deadline);

 private:
  void run(const SchemaName& schema, std::vector<pq::Message> messages, pq::Deadline deadline);

  pq::Pipeline& pipeline_;
  TableOptions table_;
};

}  // namespace tenantctl
