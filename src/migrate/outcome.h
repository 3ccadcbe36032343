#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/error.h"
#include "migrate/mark.h"

namespace tenantctl {

/// Why a schema's revision did not go through, for people and for grouping by cause.
struct Failure {
  std::string message;  ///< `revision 0012_backfill_total failed: relation "x" does not exist`
  std::string hint;
  std::string sqlstate;  ///< empty if the server did not say it
  std::string revision;  ///< `0012_backfill_total`, empty if it is not about one
  std::optional<Place> place;
};

/// How one attempt at a schema ended, as far as the server's answers tell.
enum class Verdict {
  open,        ///< not over: the next segment is due
  done,        ///< every step's COMMIT was read
  failed,      ///< the revision or the schema is wrong; trying again would not help
  contention,  ///< lock timeout, deadlock and the like: nothing kept, try again
  busy,        ///< another session holds the schema's lock
  moved,       ///< somebody else migrated it since the plan was made: read again, plan again
  gone,        ///< no such schema any more
  foreign,     ///< somebody else's hand in the version table
  refused,     ///< not run: an earlier segment on this connection failed (25P02): send again
  exhausted    ///< the server is out of disk, memory or locks: no further schema may start
};

struct Outcome {
  Verdict verdict = Verdict::open;
  std::size_t steps_done = 0;        ///< steps whose COMMIT was read, in this attempt
  std::size_t repeatables_done = 0;  ///< of these, those about repeatables
  Mark mark;                         ///< where the schema stands as far as we know
  std::optional<Failure> failure;
};

}  // namespace tenantctl
