#pragma once

#include <iosfwd>
#include <vector>

#include "output/format.h"
#include "rollout/run_ledger.h"

namespace tenantctl {

/// Runs, newest first, a line each.
void write_runs(std::ostream& out, Format format, const std::vector<RunRecord>& runs);

/// One run: who, when, its plan, its counts, and by cause the schemas that are problems; with
/// `lists_all` every schema.
struct RunDetails {
  const RunRecord* run = nullptr;
  const Report* shared = nullptr;  ///< the schemas that the ledger has
  const Report* tenants = nullptr;
  const std::vector<std::string>* unfinished = nullptr;  ///< tenants that retry would take
  bool lists_all = false;
};
void write_run_details(std::ostream& out, Format format, const RunDetails& details);

}  // namespace tenantctl
