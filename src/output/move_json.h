#pragma once

#include <nlohmann/json.hpp>

#include "tenant/tenant_moves.h"

namespace tenantctl {

/// A move that is not ended: stage, from, to, since.
nlohmann::ordered_json move_json(const TenantMove& move);

}  // namespace tenantctl
