#pragma once

#include "migrate/outcome.h"
#include "migrate/segment.h"
#include "migrate/segment_writer.h"

namespace tenantctl {

/// The verdict on a failed message, by SQLSTATE and by what the message was for.
Verdict verdict_of(const pq::ServerFields& error, Part part);

/// What to do about it, if it can be told.
std::string hint_of(const pq::ServerFields& error);

/// A revision's section that was sent.
struct SentSection {
  const Revision& revision;
  const Section& section;
};
/// Where in its file the statement of that index went wrong.
Place place_of_error(const pq::ServerFields& error, const SentSection& sent, std::size_t index,
                     const sql::Variables& variables);

/// The failed message for people: which revision, why, and for the user's SQL the place in its
/// file.
Failure failure_of(const pq::ServerFields& error, const Segment::Origin& origin, const Step& step,
                   const SegmentWriter& writer);

}  // namespace tenantctl
