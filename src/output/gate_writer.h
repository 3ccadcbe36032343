#pragma once

#include <iosfwd>

#include "output/format.h"
#include "tenant/gate.h"

namespace tenantctl {

void write_gate_install(std::ostream& out, Format format, const Installed& installed);
void write_gate(std::ostream& out, Format format, const GateState& state);

}  // namespace tenantctl
