#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "pq/connection.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// A connection to a database besides the command's own, with the settings of a session of our own.
/// Throws ConnectFailed, Error (a standby).
class SiteSession {
 public:
  explicit SiteSession(const pq::ConnectOptions& site);

  pq::Pipeline& pipeline() { return pipeline_; }
  int server_version() const { return connection_.server_version(); }
  bool via_pooler() const { return via_pooler_; }

 private:
  pq::Connection connection_;
  pq::Pipeline pipeline_;
  bool via_pooler_ = false;
};

/// Looks into databases, each over a connection of its own that is closed behind the look, never
/// more than `connections` at a time. `look` is told the index of the site and is called on several
/// threads at once, for different sites.
///
/// Returns for each site why it could not be looked at; empty where it was. A standby is no site to
/// look at. What the database did not cause (a UsageError, say) is thrown again when all are done.
std::vector<std::string> visit_sites(
    const std::vector<pq::ConnectOptions>& sites, std::size_t connections,
    const std::function<void(std::size_t site, SiteSession& session)>& look);

}  // namespace tenantctl
