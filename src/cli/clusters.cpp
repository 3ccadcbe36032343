#include "cli/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl::cli {
namespace {

bool is_name(std::string_view text) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

std::string_view name_in(const std::string& entry) {
  return std::string_view(entry).substr(0, entry.find('='));
}

std::string value_in(const std::string& entry) { return entry.substr(entry.find('=') + 1); }

}  // namespace

void check_clusters(const Settings& settings) {
  for (const std::string& entry : settings.cluster_urls) {
    if (entry.find('=') == std::string::npos || !is_name(name_in(entry)) ||
        value_in(entry).empty()) {
      throw UsageError(
          "a --cluster-url is not name=URL",
          "Write [clusters] in tenantctl.toml, then eu = \"service=eu\"; a name has a-z, "
          "0-9, _ and -.");
    }
  }
}

std::string cluster_url(const Settings& settings, const std::string& cluster) {
  check_clusters(settings);
  const auto at = std::ranges::find_if(settings.cluster_urls, [&cluster](const std::string& entry) {
    return name_in(entry) == cluster;
  });
  if (at == settings.cluster_urls.end()) {
    throw UsageError(fmt::format("nothing says where cluster \"{}\" is", escaped_name(cluster)),
                     "Name it in tenantctl.toml, below [clusters], or with --cluster-url.");
  }
  std::string value = value_in(*at);
  if (!value.starts_with('$'))
    return value;
  const std::string variable = value.substr(1);
  const char* const held = std::getenv(variable.c_str());
  if (held == nullptr || *held == '\0') {
    throw UsageError(fmt::format("cluster \"{}\" is where variable {} says, which is not set",
                                 cluster, escaped_name(variable)),
                     "Set it to the cluster's connection string.");
  }
  return held;
}

}  // namespace tenantctl::cli
