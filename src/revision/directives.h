#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
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
  std::vector<Parameter> parameters;
};

/// Names of parameters that begin so are the tool's own: what the registry says of the tenant.
inline constexpr std::string_view reserved_parameters = "tenant_";

/// Whether a parameter may be called so: [a-z][a-z0-9_]*, 40 bytes.
bool is_parameter_name(std::string_view text);

/// Reads the directives among `lines` of `file`. Unknown ones and bad arguments are added to
/// `findings`: ignoring a wish is worse than refusing it.
Directives read_directives(const std::string& file, const std::vector<Line>& lines,
                           std::vector<Finding>& findings);

}  // namespace tenantctl
