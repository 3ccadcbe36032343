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

/// How to get to where databases of a cluster are made and dropped.
pq::ConnectOptions admin_options(const Session& session, const std::string& cluster,
                                 const std::string& admin_url);

/// Who migrates there, and owns what is made.
std::string role_of(Session& session, const std::string& cluster);

/// A connection that is only there to create, change and drop databases.
class Admin {
 public:
  Admin(const Context& context, const pq::ConnectOptions& connect, std::string owner)
      : session_(connect),
        databases_(session_.pipeline(), std::move(owner), context.settings.answer_timeout) {}

  Databases& databases() { return databases_; }

 private:
  SiteSession session_;
  Databases databases_;
};

}  // namespace tenantctl::cli
