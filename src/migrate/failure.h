#pragma once

#include "migrate/outcome.h"
#include "migrate/segment.h"
#include "migrate/segment_writer.h"

namespace tenantctl {

/// The verdict on a failed message, by SQLSTATE and by what the message was for.
Verdict verdict_of(const pq::ServerFields& error, Part part);

/// The failed message for people: which revision, why, and for the user's SQL the place in its
/// file.
Failure failure_of(const pq::ServerFields& error, const Segment::Origin& origin, const Step& step,
                   const SegmentWriter& writer);

}  // namespace tenantctl
