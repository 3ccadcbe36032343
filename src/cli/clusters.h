#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace tenantctl::cli {

/// The connection string of a server besides, out of [clusters] or --cluster-url; `$NAME` there
/// stands for what the variable NAME holds. Throws UsageError for a cluster that nothing names, and
/// for a variable that is not set: nothing of the string is ever printed.
std::string cluster_url(const Settings& settings, const std::string& cluster);

/// Throws UsageError for a --cluster-url that is no name=value.
void check_clusters(const Settings& settings);

}  // namespace tenantctl::cli
