#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "rollout/fleet_plan.h"
#include "rollout/rollout.h"
#include "support/journal.h"
#include "support/session.h"

namespace tenantctl::testing {

class SilentObserver final : public Observer {
 public:
  void started(const Progress& /*progress*/) override {}
  void finished(const SchemaReport& /*schema*/, const Progress& /*progress*/) override {}
  void tick(const Progress& /*progress*/) override {}
  void ended(const Report& /*report*/) override {}
};

/// Runs rollouts over schemas of one database, made where they are missing, the way a command does:
/// reads the fleet, plans by group, runs.
struct RolloutBench {
  explicit RolloutBench(const TestDatabase& database, RevisionFolder revisions,
                        const std::string& role = {});

  Report run(const std::vector<std::string>& schemas);

  RevisionFolder folder;
  RolloutOptions options;
  std::atomic<int> signals{0};
  Observer* observer = nullptr;  ///< told of the runs; not owned

 private:
  Session control_;
};

/// `prefix01`, `prefix02`, ...
std::vector<std::string> schema_names(std::size_t count, const std::string& prefix = "t");

/// The lines that the server has written since this was made.
class ServerLog {
 public:
  ServerLog();
  /// Those that hold `word`.
  std::vector<std::string> lines(const std::string& word) const;

 private:
  std::string path_;
  std::size_t begin_ = 0;
};

}  // namespace tenantctl::testing
