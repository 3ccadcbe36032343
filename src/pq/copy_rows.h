#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "pq/pipeline.h"

namespace tenantctl::pq {

/// One end of a copy: a session with nothing in flight, and its COPY statement.
struct CopyEnd {
  Pipeline& pipeline;
  std::string sql;
};

/// Streams rows from one session into another, as COPY TO STDOUT gives and COPY FROM STDIN takes
/// them: a row at a time, so that a table costs no memory here, and as fast as the slower end.
/// Returns how many the target took.
///
/// `patience` with either end while nothing moves. Throws ServerError, ConnectionLost; a connection
/// whose COPY is not over is given up then, there is nothing else that it could be told.
std::uint64_t copy_rows(const CopyEnd& from, const CopyEnd& to, std::chrono::milliseconds patience);

}  // namespace tenantctl::pq
