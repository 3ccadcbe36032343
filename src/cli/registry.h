#pragma once

#include <CLI/CLI.hpp>

#include "cli/context.h"

namespace tenantctl::cli {

/// Below `registry`: join, leave and sync, for clusters with a registry of their own.
void add_registry_clusters(CLI::App& registry, Context& context);

}  // namespace tenantctl::cli
