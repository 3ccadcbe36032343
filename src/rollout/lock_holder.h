#pragma once

#include <optional>
#include <string>

#include "pq/message.h"
#include "rollout/backend.h"
#include "rollout/report.h"

namespace tenantctl {

/// Who holds the schema's lock now, if anybody does. `holder` is set when the answer arrives.
pq::Message read_lock_holder(const std::string& schema, std::optional<Blocker>& holder);

/// Ends a backend whose connection we lost, so that what it holds is free: only the very one that
/// was recorded, of this role and this run, and only while it waits for its client, who will not
/// come back. One that still works is left to end by itself.
pq::Message end_orphan(const Backend& backend);

}  // namespace tenantctl
