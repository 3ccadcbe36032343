#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "revision/finding.h"
#include "revision/markers.h"
#include "revision/revision.h"

namespace tenantctl {

/// What a revision's comments ask of this program: lines `-- tenantctl: NAME ARGUMENTS`, which may
/// stand anywhere in the file and hold for both sections.
struct Directives {
  std::optional<std::chrono::milliseconds> lock_timeout;
  std::vector<Requirement> requires_shared;
  bool serial = false;
};

/// Reads the directives among `lines` of `file`. Unknown ones and bad arguments are added to
/// `findings`: ignoring a wish is worse than refusing it.
Directives read_directives(const std::string& file, const std::vector<Line>& lines,
                           std::vector<Finding>& findings);

}  // namespace tenantctl
