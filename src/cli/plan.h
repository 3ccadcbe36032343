#pragma once

#include <string>

#include "cli/context.h"

namespace tenantctl::cli {

/// upgrade-all --plan FILE: what the file says and nothing else. Throws UsageError if the folder is
/// not the one that the plan was made from, or if the command line selects anything besides.
ExitCode carry_out_plan(const Context& context, const std::string& file, bool has_target);

}  // namespace tenantctl::cli
