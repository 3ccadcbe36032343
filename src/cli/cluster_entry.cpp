#include "cli/cluster_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <ostream>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "cli/clusters.h"
#include "cli/joined_fleet.h"
#include "cli/tenants.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

// Commands that change tenants, or make them.
constexpr std::array<std::string_view, 12> changing{
    "registry init", "tenant create",  "tenant rename", "tenant drop",
    "tenant undrop", "tenant purge",   "tenant move",   "tenant suspend",
    "tenant resume", "tenant archive", "tenant import", "tenant clone"};

/// The usual database's registry, while a command works in a cluster's.
class HomeRegistry {
 public:
  HomeRegistry(Context context, std::string cluster)
      : context_(std::move(context)), cluster_(std::move(cluster)) {
    context_.settings.cluster.clear();
    context_.settings.quiet = true;
  }

  bool has_joined() const { return joined_.has_value(); }

  /// Whether the cluster has joined it, and if so, that its name leads there.
  void find_cluster() {
    Session session(context_);
    run_ = session.run_id();
    const std::vector<JoinedCluster> all = joined_clusters(context_, session).all();
    const auto found = std::ranges::find(all, cluster_, &JoinedCluster::name);
    if (found == all.end())
      return;
    joined_ = *found;
    std::optional<JoinedCluster> there;
    try {
      there = registry_in(context_, session, cluster_).first;
    } catch (const UsageError&) {
      // What cannot be used over there may be what is to be mended.
      if (context_.command != "registry init")
        throw;
      return;
    }
    check_registry(*joined_, *there);
  }

  std::vector<std::string> slugs() const {
    Session session(context_);
    std::vector<std::string> slugs;
    for (const RegisteredTenant& tenant : tenant_registry(context_, session).all())
      slugs.push_back(tenant.slug);
    for (const RegisteredTenant& tenant : joined_clusters(context_, session).tenants())
      slugs.push_back(tenant.slug);
    return slugs;
  }

  std::map<std::string, std::string> reserve(const std::vector<std::string>& slugs) const {
    Session session(context_);
    return joined_clusters(context_, session).reserve(cluster_, slugs, run_);
  }

  /// Has it learn what the command has changed. What was done over there stands, so that a failure
  /// is told and is none of the command's.
  void learn() {
    std::string problem;
    try {
      Session session(context_);
      problem = sync_joined(context_, session, {*joined_}, run_).front().problem;
    } catch (const Error& error) {
      problem = error.what();
    }
    if (!problem.empty()) {
      *context_.err << fmt::format(
          "tenantctl: notice: the registry does not know yet what was changed on cluster {}: {}\n"
          "HINT: tenantctl registry sync tells it.\n",
          cluster_, told(problem));
    }
  }

 private:
  Context context_;
  std::string cluster_;
  std::string run_;
  std::optional<JoinedCluster> joined_;
};

// A server alone can be worked on without the other.
void find_cluster(HomeRegistry& home) {
  try {
    home.find_cluster();
  } catch (const pq::ConnectFailed& error) {
    throw UnavailableError(error.what(),
                           "--cluster asks the usual registry whose cluster that is; give "
                           "--database-url alone to work on a server by itself.");
  }
}

// A connection past a pooler leads to the usual server.
void enter(Settings& settings, std::string url) {
  settings.database_url = std::move(url);
  settings.direct_url.clear();
  settings.cluster.clear();
}

}  // namespace

ExitCode run_where_asked(Context& context) {
  if (context.settings.cluster.empty())
    return context.run();
  const std::string cluster = context.settings.cluster;
  std::string url = cluster_url(context.settings, cluster);
  HomeRegistry home(context, cluster);
  find_cluster(home);
  if (!home.has_joined() && context.command == "tenant create")
    return context.run();
  enter(context.settings, std::move(url));
  if (!home.has_joined() || std::ranges::count(changing, context.command) == 0)
    return context.run();
  context.reserve = [&home](const std::vector<std::string>& slugs) { return home.reserve(slugs); };
  context.slugs_elsewhere = [&home] { return home.slugs(); };
  try {
    const ExitCode code = context.run();
    home.learn();
    return code;
  } catch (const Error&) {
    home.learn();
    throw;
  }
}

}  // namespace tenantctl::cli
