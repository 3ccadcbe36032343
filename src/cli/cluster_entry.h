#pragma once

#include "cli/context.h"

namespace tenantctl::cli {

/// Runs the command, with --cluster in that cluster's database instead of the usual one. Where the
/// cluster has joined the registry, a command that changes tenants is told before which slugs are
/// taken elsewhere, and the registry behind it who lives there now.
///
/// `tenant create` for a cluster that has not joined is left with the option: it makes databases
/// there whose tenants the usual registry has. Throws UsageError for a cluster that nothing names.
ExitCode run_where_asked(Context& context);

}  // namespace tenantctl::cli
