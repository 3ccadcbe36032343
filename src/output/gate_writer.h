#pragma once

#include <cstddef>
#include <iosfwd>
#include <vector>

#include "output/format.h"
#include "output/tenant_writer.h"
#include "tenant/gate.h"

namespace tenantctl {

/// The gates inside tenants' own databases, after they were all visited.
struct ResidentGates {
  std::size_t settled = 0;           ///< stand at this version and know their tenant
  std::vector<TenantResult> failed;  ///< why the others do not
};

void write_gate_install(std::ostream& out, std::ostream& err, Format format,
                        const Installed& installed, const ResidentGates& residents);
void write_gate(std::ostream& out, Format format, const GateState& state);

}  // namespace tenantctl
