#pragma once

#include <nlohmann/json.hpp>

#include "support/tenantctl.h"

namespace tenantctl::testing {

/// Standard output as the one JSON document that it is; throws with all that was written if not.
nlohmann::json document(const Finished& finished);

}  // namespace tenantctl::testing
