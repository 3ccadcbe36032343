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
  std::string schema;
  std::uint32_t group = 0;
};

}  // namespace tenantctl
