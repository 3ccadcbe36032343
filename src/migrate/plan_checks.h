#pragma once

#include <string_view>
#include <vector>

#include "migrate/plan.h"

namespace tenantctl {

/// What the planners refuse. Each throws HistoryError.

/// Every applied revision must be in the folder as it was when it was applied.
void check_against(const RevisionFolder& folder, const History& history);

/// No revision may stand half-way outside a transaction when another `act` begins.
void refuse_unfinished(const History& history, std::string_view act);

/// No pending revision may be older than an applied one.
void refuse_late(const std::vector<const Revision*>& pending, const History& history);

/// A run that ended without a word may have sent the next statement of a step that resumes, and it
/// may have happened.
void refuse_unknown(const Step& step);

}  // namespace tenantctl
