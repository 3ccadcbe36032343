#pragma once

#include "output/result_writer.h"
#include "rollout/standing.h"

namespace tenantctl::cli {

/// What people are told of schemas that stand at one place: revision, what is pending, and why they
/// need somebody.
StatusResult::Group group_of(const Standing& standing, const Fleet& fleet,
                             const RevisionFolder& folder);

}  // namespace tenantctl::cli
