#pragma once

#include <iosfwd>

#include "catalog/audit.h"
#include "catalog/probe.h"
#include "output/format.h"

namespace tenantctl {

/// What `audit isolation` found.
struct AuditResult {
  const AuditReport* report = nullptr;
  const ProbeReport* probe = nullptr;  ///< nullptr: not asked for
  bool has_registry = false;
  bool lists_all = false;
};

/// By rule: what is wrong, the first findings and how many more, what to do. Then what was not
/// judged, and the counts, so that the last line tells the outcome.
void write_audit(std::ostream& out, Format format, const AuditResult& result);

}  // namespace tenantctl
