#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// A tenant that was dropped and can still be brought back: its schema stands under a name that no
/// tenant may have, nobody but its owner may use it, and its comment tells what it was.
struct DroppedTenant {
  std::string schema;  ///< `tenantctl_dropped_16385`
  std::string name;    ///< what the schema was called
  std::string at;      ///< when, UTC
  std::string by;
  std::chrono::seconds age{0};
  bool is_going = false;  ///< its purge has begun: what is left is not the whole
};

/// All SQL about dropped schemas: how one is put aside and how it comes back. Owns no lock; what it
/// gives is to be sent in one transaction behind the schema's lock, under the search_path
/// `pg_catalog, pg_temp`.
class DroppedTenants {
 public:
  /// SQL text: what the schema with the name $1 will be called.
  static constexpr std::string_view name_expression =
      "(SELECT 'tenantctl_dropped_' || n.oid::pg_catalog.text FROM pg_catalog.pg_namespace n "
      "WHERE n.nspname = $1::pg_catalog.text)";

  /// Renames the schema, takes all rights to it from everybody but its owner, and writes down in
  /// its comment what it was called, who had which rights, and what its comment was.
  static pq::Message put_aside(const SchemaName& schema);

  /// The way back, as far as roles still exist. Fails with 42P06 if somebody has the name now.
  static pq::Message bring_back(const DroppedTenant& tenant);
  /// Roles that had rights and do not exist any more: rows of one column.
  static pq::Message lost_roles(const DroppedTenant& tenant, std::vector<std::string>& roles);

  /// The comment of its version table; empty if there is none.
  static std::string mark_of(pq::Pipeline& pipeline, const std::string& schema,
                             const std::string& version_table, pq::Deadline deadline);

  /// All that are ours, or owned by one of `owners`, by name and time. Throws ServerError,
  /// ConnectionLost.
  static std::vector<DroppedTenant> all(pq::Pipeline& pipeline,
                                        const std::vector<std::string>& owners,
                                        const std::string& version_table, pq::Deadline deadline);
};

}  // namespace tenantctl
