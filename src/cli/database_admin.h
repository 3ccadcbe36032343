#pragma once

#include <string>
#include <string_view>

#include "cli/session.h"
#include "rollout/site_visits.h"
#include "tenant/databases.h"

namespace tenantctl::cli {

/// SQLSTATE with which the server refuses to rename or drop a database that somebody uses.
inline constexpr std::string_view object_in_use = "55006";

/// A server's own connection, in whatever database its connection string names.
inline Site main_site(const std::string& cluster) { return {.cluster = cluster, .database = {}}; }

/// How to get to where databases of a cluster are made and dropped. Throws UsageError for an
/// `admin_url` that leads to another server than that.
pq::ConnectOptions admin_options(Session& session, const std::string& cluster,
                                 const std::string& admin_url);

/// Who migrates there and owns what is made, and who else may connect to it.
DatabaseRoles roles_of(Session& session, const std::string& cluster);

/// A connection that is only there to create, change and drop databases, of a server (empty: the
/// usual one), and the role that they are to belong to.
class DatabaseAdmin {
 public:
  DatabaseAdmin(const Context& context, Session& session, const std::string& cluster,
                const std::string& admin_url);
  DatabaseAdmin(const Context& context, const pq::ConnectOptions& connect, DatabaseRoles roles);

  Databases& databases() { return databases_; }
  const std::string& owner() const { return owner_; }

 private:
  SiteSession session_;
  std::string owner_;
  Databases databases_;
};

}  // namespace tenantctl::cli
