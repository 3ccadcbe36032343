#pragma once

#include <vector>

#include "cli/reports.h"
#include "cli/scope_plan.h"
#include "rollout/run_recorder.h"

namespace tenantctl::cli {

/// What a run works with. Views the command's.
struct Workplace {
  const Context& context;
  Session& session;
  const Folders& folders;
  const Migration& migration;
  SharedScope& shared_scope;
  RunRecorder& recorder;
  Reports& reports;
};

/// Carries out what was planned, one scope after the other; the second only begins when the first
/// went well. Each run has its report then, whatever happened. Throws what keeps the first scope
/// from beginning: ConnectionLost, UnavailableError, UsageError.
void run_scopes(const Workplace& place, const std::vector<ScopeRun*>& runs);

}  // namespace tenantctl::cli
