#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/site.h"

namespace tenantctl {

/// A tenant as its row tells. Empty text for what the row leaves open; a schema without a database
/// or cluster is one of the registry's own database.
struct RegisteredTenant {
  std::string id;
  std::string slug;
  std::string name;
  std::string tier;
  std::string isolation;
  std::string schema;
  std::string database;
  std::string cluster;
  std::string state;
  std::string runtime_role;
  std::string metadata;  ///< JSON, an object
  std::string state_since;
  std::string created_at;
  std::int64_t state_age = 0;  ///< seconds
  bool is_being_made = false;  ///< provisioning, by a run that lives
  bool is_kept = false;        ///< deleting, but it can be brought back
  std::string renaming;        ///< what its database is to be called, since a rename began

  bool has_rows() const { return isolation == "rows" && database.empty() && cluster.empty(); }
  /// The same, wherever its home is.
  bool shares_rows() const { return isolation == "rows"; }
  bool is_here() const { return isolation == "schema" && database.empty() && cluster.empty(); }
  /// In a database of another name or server; nobody sees it by looking into this one.
  bool is_elsewhere() const { return !database.empty() || !cluster.empty(); }
  Site site() const { return {.cluster = cluster, .database = database}; }
  /// What commands call its schema: its name, or `database/schema`.
  std::string place() const { return is_elsewhere() ? site().name_of(schema) : schema; }
};

/// Of the session lock by which a run that makes tenants is known to live; the second key is the
/// beginning of the run's id.
inline constexpr int run_lock_class = 1952670770;
/// SQL condition over a row `t`: a run that lives is making that tenant.
std::string is_being_made();

/// Reads rows of a table of the registry's that has the columns of tenantctl.tenant, by slug, into
/// `tenants`. The condition is over a row `t`.
pq::Message read_tenants(std::string_view table, const std::string& condition,
                         std::vector<std::optional<std::string>> values,
                         std::vector<RegisteredTenant>& tenants);

}  // namespace tenantctl
