#pragma once

#include "tenant/components.h"

namespace tenantctl {

/// The registry as it stands in the database: tenantctl.tenant with its triggers, version by
/// version. TenantRegistry is who works with it.
const Component& registry_component();

}  // namespace tenantctl
