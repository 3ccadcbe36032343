#pragma once

#include <cstddef>
#include <string_view>

#include "rollout/report.h"

namespace tenantctl {

/// How far a run is.
struct Progress {
  std::size_t total = 0;
  std::size_t finished = 0;
  std::size_t problems = 0;
  std::size_t running = 0;
  std::size_t waiting = 0;   ///< for a lock, to try again
  std::string_view longest;  ///< the schema that has been at work the longest; may be empty
};

/// Is told what happens in a run while it happens; decides nothing. Called on the run's own thread,
/// so it must return soon.
class Observer {
 public:
  Observer() = default;
  virtual ~Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  virtual void started(const Progress& progress) = 0;
  virtual void finished(const SchemaReport& schema, const Progress& progress) = 0;
  /// About twice a second, also while nothing ends.
  virtual void tick(const Progress& progress) = 0;
  virtual void ended() = 0;
};

}  // namespace tenantctl
