#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "rollout/job.h"
#include "rollout/sizing.h"
#include "rollout/waves.h"
#include "rollout/worker.h"
#include "tenant/site.h"

namespace tenantctl {

/// Another database that tasks are in.
struct RolloutSite {
  Site site;
  pq::ConnectOptions connect;
};

struct RolloutOptions {
  Worker::Options worker;
  MigrateOptions migrate;
  Patience patience;
  std::size_t jobs = 4;  ///< connections to work with, never more at a time
  bool via_pooler = false;
  std::vector<RolloutSite> sites;
  std::optional<ServerRoom> room;  ///< jobs never fill its lock table; unknown: nothing is counted
  /// Where the control connection leads, to make it anew when it is lost; without it, what it is
  /// for is left out from then on.
  std::optional<pq::ConnectOptions> control;
  /// A connection is given up whose backend has waited for us so long, or is gone, or that says
  /// nothing while nobody can say what the server does.
  std::chrono::milliseconds silence{30'000};
  /// After a signal, for so long an answer to the cancel is waited for.
  std::chrono::milliseconds drain{10'000};
  WaveOptions waves;
  Budgets budgets;
};

}  // namespace tenantctl
