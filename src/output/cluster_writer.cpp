#include "output/cluster_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ostream>

#include "base/text.h"
#include "output/json_document.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

/// A tenant that has gone and come has changed.
struct Changes {
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;
};

Changes changes_of(const JoinedClusters::Synced& synced) {
  Changes changes;
  std::ranges::set_intersection(synced.added, synced.removed, std::back_inserter(changes.changed));
  std::ranges::set_difference(synced.added, synced.removed, std::back_inserter(changes.added));
  std::ranges::set_difference(synced.removed, synced.added, std::back_inserter(changes.removed));
  return changes;
}

Json sync_json(const ClusterSync& sync) {
  Json json{{"cluster", sync.cluster}};
  if (!sync.problem.empty()) {
    json["problem"] = sync.problem;
    return json;
  }
  const Changes changes = changes_of(sync.synced);
  json["tenants"] = sync.tenants;
  json["added"] = changes.added;
  json["changed"] = changes.changed;
  json["removed"] = changes.removed;
  json["refused"] = sync.synced.refused;
  return json;
}

void write_sync(std::ostream& out, const ClusterSync& sync) {
  const Changes changes = changes_of(sync.synced);
  out << fmt::format("{}: {}", sync.cluster, counted(sync.tenants, "tenant"));
  const auto tell = [&out](std::size_t count, std::string_view what) {
    if (count > 0)
      out << fmt::format(", {} {}", count, what);
  };
  tell(changes.added.size(), "added");
  tell(changes.changed.size(), "changed");
  tell(changes.removed.size(), "removed");
  tell(sync.synced.refused.size(), "refused");
  out << '\n';
}

// What keeps tenants of a cluster out of the registry.
void write_refused(std::ostream& err, const ClusterSync& sync) {
  constexpr std::size_t shown = 10;
  const std::vector<std::string>& refused = sync.synced.refused;
  for (std::size_t i = 0; i < std::min(shown, refused.size()); ++i) {
    err << fmt::format("tenantctl: {} of cluster {}: another tenant has its slug, or its id\n",
                       escaped_name(refused[i]), sync.cluster);
  }
  if (refused.size() > shown)
    err << fmt::format("tenantctl: and {} more\n", refused.size() - shown);
  if (!refused.empty())
    err << "HINT: tenantctl tenant rename OLD NEW gives one of the two another name.\n";
}

}  // namespace

void write_left(std::ostream& out, Format format, std::string_view command,
                const std::string& cluster) {
  if (format == Format::json) {
    Json json = json_document(command);
    json["cluster"] = cluster;
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("{} has left; its tenants go on by its own registry\n", cluster);
}

void write_cluster_syncs(std::ostream& out, std::ostream& err, Format format,
                         std::string_view command, const std::vector<ClusterSync>& syncs) {
  if (format == Format::json) {
    Json json = json_document(command);
    json["clusters"] = Json::array();
    for (const ClusterSync& sync : syncs)
      json["clusters"].push_back(sync_json(sync));
    out << json_text(json) << '\n';
    return;
  }
  if (syncs.empty())
    out << "no cluster has joined\n";
  for (const ClusterSync& sync : syncs) {
    if (sync.problem.empty())
      write_sync(out, sync);
    else
      err << fmt::format("tenantctl: cluster {}: {}\n", sync.cluster, told(sync.problem));
    write_refused(err, sync);
  }
}

}  // namespace tenantctl
