#pragma once

#include <sys/types.h>

#include <chrono>

#include "pq/connection.h"

namespace tenantctl::pq {

/// Asks for the end of what a session runs the way libpq does it: over a connection of its own, by
/// the key that the startup gave. The only way through a pooler, which hides the backend's pid.
///
/// libpq 15's PQcancel waits without a deadline for a peer that says nothing, so a child process
/// does it, which the kernel ends after `limit`. Best effort: whether it worked, the session's own
/// answer tells. Not encrypted, as everywhere in libpq before 17.
class CancelRequest {
 public:
  CancelRequest() = default;
  ~CancelRequest();
  CancelRequest(const CancelRequest&) = delete;
  CancelRequest& operator=(const CancelRequest&) = delete;

  /// Begins and returns at once; nothing happens while the request before is still under way.
  void send(const Connection& connection,
            std::chrono::seconds limit = std::chrono::seconds(5)) noexcept;
  bool is_under_way() noexcept;

 private:
  pid_t child_ = 0;  ///< 0: none
};

}  // namespace tenantctl::pq
