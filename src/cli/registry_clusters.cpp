#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/joined_fleet.h"
#include "cli/options.h"
#include "cli/registry.h"
#include "cli/tenants.h"
#include "output/cluster_writer.h"

namespace tenantctl::cli {
namespace {

ExitCode tell(const Context& context, const std::vector<ClusterSync>& syncs) {
  write_cluster_syncs(*context.out, *context.err, context.settings.output, context.command, syncs);
  return std::ranges::any_of(syncs, &ClusterSync::is_problem) ? ExitCode::failed : ExitCode::ok;
}

void refuse_without_registry(const Context& context, Session& session) {
  if (!tenant_registry(context, session).is_installed()) {
    throw UsageError("there is no registry in this database", "tenantctl registry init makes it.");
  }
}

ExitCode run_join(const Context& context, const std::string& name) {
  Session session(context);
  refuse_without_registry(context, session);
  const auto [found, tenants] = registry_in(context, session, name);
  return tell(context, {{.cluster = name,
                         .tenants = tenants.size(),
                         .synced = joined_clusters(context, session).join(found, tenants)}});
}

ExitCode run_leave(const Context& context, const std::string& name) {
  Session session(context);
  joined_clusters(context, session).leave(name);
  write_left(*context.out, context.settings.output, context.command, name);
  return ExitCode::ok;
}

std::vector<JoinedCluster> named_of(std::vector<JoinedCluster> all,
                                    const std::vector<std::string>& names) {
  if (names.empty())
    return all;
  for (const std::string& name : names) {
    if (std::ranges::count(all, name, &JoinedCluster::name) == 0) {
      throw UsageError(fmt::format("cluster {} has not joined the registry", escaped_name(name)),
                       fmt::format("tenantctl registry join {} has it do so.", escaped_name(name)));
    }
  }
  std::erase_if(all, [&names](const JoinedCluster& cluster) {
    return std::ranges::count(names, cluster.name) == 0;
  });
  return all;
}

ExitCode run_sync(const Context& context, const std::vector<std::string>& names) {
  Session session(context);
  refuse_without_registry(context, session);
  return tell(context, sync_joined(context, session,
                                   named_of(joined_clusters(context, session).all(), names)));
}

}  // namespace

void add_registry_clusters(CLI::App& registry, Context& context) {
  CLI::App* join = registry.add_subcommand(
      "join", "have a cluster's own registry be part of this one: one fleet, one rollout");
  auto name = std::make_shared<std::string>();
  join->add_option("CLUSTER", *name, "a name out of [clusters]")->required();
  describe_question(*join, context.settings);
  add_example(*join, "tenantctl registry join eu");
  join->callback(
      [&context, name] { context.run = [&context, name] { return run_join(context, *name); }; });

  CLI::App* leave = registry.add_subcommand("leave", "part with a cluster: nothing changes there");
  leave->add_option("CLUSTER", *name, "one that has joined")->required();
  describe_question(*leave, context.settings);
  add_example(*leave, "tenantctl registry leave eu");
  leave->callback(
      [&context, name] { context.run = [&context, name] { return run_leave(context, *name); }; });

  CLI::App* sync = registry.add_subcommand(
      "sync", "read anew who lives on clusters that have joined; all of them, or those named");
  auto names = std::make_shared<std::vector<std::string>>();
  sync->add_option("CLUSTER", *names, "one that has joined");
  describe_question(*sync, context.settings);
  add_example(*sync, "tenantctl registry sync");
  sync->callback(
      [&context, names] { context.run = [&context, names] { return run_sync(context, *names); }; });
}

}  // namespace tenantctl::cli
