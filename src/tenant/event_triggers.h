#pragma once

#include <string>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// Enabled event triggers that COMMENT, by which the mark is written, or our CREATE would fire and
/// that belong to somebody else than the current role or one of `owners`: their functions run as
/// the migrating role, with every schema. By name. Throws ServerError, ConnectionLost.
std::vector<std::string> read_event_triggers(pq::Pipeline& pipeline,
                                             const std::vector<std::string>& owners,
                                             pq::Deadline deadline);

}  // namespace tenantctl
