#pragma once

#include <vector>

#include "cli/scope_runs.h"

namespace tenantctl::cli {

/// Writes a run that is over into the ledger of each cluster that it went to, with the schemas that
/// it had there: whoever looks into that server finds what was done. The whole of it stands in the
/// run's own database. What cannot be written is a notice.
void record_in_clusters(const Context& context, const Session& session, const RunStart& start,
                        const std::vector<ScopeRun*>& runs);

}  // namespace tenantctl::cli
