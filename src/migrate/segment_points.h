#pragma once

#include <string>

#include "migrate/segment.h"

namespace tenantctl {

/// Tells pq/stop_point.h what the messages of the segment that is sent next are for. Does nothing
/// but in a build with TENANTCTL_FAULTS.
#ifdef TENANTCTL_FAULTS
void announce_points(const std::string& schema, const Segment& segment);
#else
inline void announce_points(const std::string& /*schema*/, const Segment& /*segment*/) {}
#endif

}  // namespace tenantctl
