#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"

namespace tenantctl {

/// The tenant that has a database for itself, as its database is told of it.
struct Resident {
  std::string id;
  std::string slug;
  std::string schema;
  std::string version_table = "tenantctl_version";
  std::vector<std::string> path_behind = {};  ///< schemas behind the tenant's, in this order
};

/// The gate inside a tenant's own database: functions of the names that the gate beside the
/// registry has, so that the same revisions and the same application's calls work there. Nobody is
/// registered in such a database, it knows one tenant: whoever is let in is that tenant's, entered
/// or not. A database that new ones are copied from has the functions and no tenant yet.
///
/// Every function throws what Components throws.
class ResidentGate {
 public:
  /// `database` is a session in the tenant's database; `patience` with an answer.
  ResidentGate(pq::Pipeline& database, std::vector<std::string> owners,
               std::chrono::milliseconds patience)
      : components_(database, std::move(owners), patience) {}

  /// Makes the functions, or takes them to this version.
  Installed install();
  /// install(), and says whose database it is; anything said before is forgotten.
  Installed settle(const Resident& resident);

  /// Of this program; stands in a template's comment, so that older ones are made anew.
  static int version();

 private:
  Components components_;
};

}  // namespace tenantctl
