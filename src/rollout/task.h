#pragma once

#include <cstdint>
#include <string>

#include "migrate/plan.h"

namespace tenantctl {

/// Schemas that get the same plan.
struct TaskGroup {
  Plan plan;
  Missing missing = Missing::nothing;  ///< what the run may create
};

/// One schema of a rollout.
struct Task {
  std::string schema;  ///< with its database in front, at another site
  std::uint32_t group = 0;
  std::uint32_t site = 0;  ///< 0: the run's own database; else one more than into the run's sites
};

}  // namespace tenantctl
