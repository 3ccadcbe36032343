#pragma once

#include <string>
#include <vector>

#include "migrate/version_table.h"
#include "pq/message.h"
#include "pq/pipeline.h"
#include "revision/revision.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// A seed that stands in a tenant.
struct AppliedSeed {
  std::string name;
  std::string checksum;
  std::string applied_at;  ///< ISO, UTC
  std::string applied_by;
};

/// All SQL about the table in which a schema's seeds are recorded, beside its version table. Whose
/// a row is says `tenant`: the id of who shares rows there, or nothing where the schema is one
/// tenant's, or the shared scope's. Owns no connection. Every name is qualified.
class SeedTable {
 public:
  /// Throws UsageError where the table's name would be longer than the server allows.
  SeedTable(SchemaName schema, TableOptions options);

  const std::string& name() const { return name_; }

  enum class Found { none, ours, foreign };
  /// Whether it is there and may be trusted, as a version table is.
  pq::Message look(Found& found) const;
  /// Makes it; whom default privileges let in arrives in `grantees`, for settle().
  std::vector<pq::Message> create(std::vector<std::string>& grantees) const;
  /// Nobody of these may use it, and TableOptions::readers may read it.
  std::vector<pq::Message> settle(const std::vector<std::string>& grantees) const;

  /// By name; they arrive in `seeds`.
  pq::Message read(const std::string& tenant, std::vector<AppliedSeed>& seeds) const;
  pq::Message insert(const std::string& tenant, const Revision& seed) const;
  /// A seed as it was recorded elsewhere.
  pq::Message insert(const std::string& tenant, const AppliedSeed& seed) const;
  /// The row of this transaction is there, or TC005.
  pq::Message untouched(const std::string& tenant, const Revision& seed) const;
  pq::Message forget(const std::string& tenant) const;

 private:
  SchemaName schema_;
  TableOptions options_;
  std::string name_;
  std::string table_;  ///< "schema"."table"
};

/// What is recorded for a tenant; nothing where there is no such table of ours.
std::vector<AppliedSeed> read_seeds(pq::Pipeline& pipeline, const SeedTable& table,
                                    const std::string& tenant, pq::Deadline deadline);
/// Removes what is recorded for a tenant whose rows are gone. Throws Error for a foreign table.
void forget_seeds(pq::Pipeline& pipeline, const SeedTable& table, const std::string& tenant,
                  pq::Deadline deadline);

}  // namespace tenantctl
