#pragma once

#include "rollout/run_ledger.h"

namespace tenantctl::cli {

/// Who runs the program and where: the parts of a RunStart that the process knows of itself, the CI
/// system's job included where its variables tell (GitHub, GitLab, Jenkins, Buildkite, CircleCI).
RunStart invocation();

}  // namespace tenantctl::cli
