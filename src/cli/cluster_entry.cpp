#include "cli/cluster_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <string_view>

#include "base/text.h"
#include "cli/clusters.h"
#include "cli/tenants.h"
#include "output/cluster_writer.h"

namespace tenantctl::cli {
namespace {

// Commands that may give a tenant a slug, and those that change tenants otherwise.
constexpr std::array<std::string_view, 5> naming{"registry init", "tenant create", "tenant rename",
                                                 "tenant import", "tenant clone"};
constexpr std::array<std::string_view, 7> changing{
    "tenant drop",    "tenant undrop", "tenant purge",  "tenant move",
    "tenant suspend", "tenant resume", "tenant archive"};

/// The usual database's registry, while a command works in a cluster's.
class HomeRegistry {
 public:
  HomeRegistry(const Context& context, std::string cluster)
      : context_(context), cluster_(std::move(cluster)) {
    context_.settings.cluster.clear();
    context_.settings.quiet = true;
  }

  bool has_joined() const { return joined_.has_value(); }

  /// Whether the cluster has joined it.
  void find_cluster() {
    Session session(context_);
    const std::vector<JoinedCluster> all = joined_clusters(context_, session).all();
    const auto found = std::ranges::find(all, cluster_, &JoinedCluster::name);
    if (found != all.end())
      joined_ = *found;
  }

  /// Who lives elsewhere.
  TenantRegistry::TakenSlugs taken_slugs() const {
    Session session(context_);
    TenantRegistry::TakenSlugs taken;
    for (const RegisteredTenant& tenant : tenant_registry(context_, session).all())
      taken.emplace(tenant.slug, "in the registry that the cluster has joined");
    for (const RegisteredTenant& tenant : joined_clusters(context_, session).tenants()) {
      if (tenant.cluster != cluster_)
        taken.emplace(tenant.slug, "on cluster " + tenant.cluster);
    }
    return taken;
  }

  /// Has it learn what the command has changed. What was done over there stands, so that a failure
  /// is told and is none of the command's.
  ExitCode learn(ExitCode code) {
    try {
      Session session(context_);
      const ClusterSync sync = sync_joined(context_, session, *joined_);
      write_refused(*context_.err, sync);
      return code == ExitCode::ok && sync.is_problem() ? ExitCode::failed : code;
    } catch (const Error& error) {
      *context_.err << fmt::format(
          "tenantctl: notice: the registry does not know yet what was changed on cluster {}: {}\n"
          "HINT: tenantctl registry sync tells it.\n",
          cluster_, told(error.what()));
      return code;
    }
  }

  /// The same where the command's own error is what there is to tell.
  void learn_quietly() {
    try {
      Session session(context_);
      sync_joined(context_, session, *joined_);
    } catch (const Error&) {
      // registry check tells what the registry does not know.
      return;
    }
  }

 private:
  Context context_;
  std::string cluster_;
  std::optional<JoinedCluster> joined_;
};

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
  const bool names = std::ranges::count(naming, context.command) > 0;
  if (!names && std::ranges::count(changing, context.command) == 0) {
    enter(context.settings, std::move(url));
    return context.run();
  }
  HomeRegistry home(context, cluster);
  home.find_cluster();
  if (!home.has_joined() && context.command == "tenant create")
    return context.run();
  if (names && home.has_joined())
    context.taken_slugs = home.taken_slugs();
  enter(context.settings, std::move(url));
  if (!home.has_joined())
    return context.run();
  try {
    return home.learn(context.run());
  } catch (const Error&) {
    home.learn_quietly();
    throw;
  }
}

}  // namespace tenantctl::cli
