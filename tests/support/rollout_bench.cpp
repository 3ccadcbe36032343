#include "support/rollout_bench.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "pq/session_options.h"

namespace tenantctl::testing {

using namespace std::chrono_literals;

RolloutBench::RolloutBench(const TestDatabase& database, RevisionFolder revisions,
                           const std::string& role)
    : folder(std::move(revisions)), control_(database) {
  options.control = pq::ConnectOptions{.url = database.conninfo()};
  options.worker.connect.url = role.empty() ? database.conninfo() : database.conninfo_as(role);
  options.via_pooler = is_pooled();
  options.migrate.direct = !is_pooled();
  options.worker.adapts = false;
  options.worker.depth = 1;
  options.migrate.server_version = control_.connection().server_version();
  if (options.migrate.direct) {
    options.worker.connect.url =
        pq::with_session_options(options.worker.connect.url,
                                 pq::session_options(options.migrate.server_version, role.empty()));
  }
}

Report RolloutBench::run(const std::vector<std::string>& schemas) {
  const Replan replan = [this](const History& history, Missing missing) {
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
  const Fleet fleet = read_schemas(control_.pipeline(), {}, schemas, soon());
  std::vector<std::uint32_t> all(fleet.schemas.size());
  for (std::uint32_t i = 0; i < all.size(); ++i)
    all[i] = i;
  const auto standings =
      read_standings(control_.pipeline(), fleet, all, folder, options.migrate.table, soon());
  const FleetPlan plan = plan_fleet(fleet, standings, folder, replan, Missing::schema, false);
  if (options.migrate.direct)
    options.worker.setup = session_setup(options.migrate);
  SilentObserver silent;
  Rollout rollout(options, replan, observer == nullptr ? silent : *observer, control_.pipeline(),
                  signals);
  return run_fleet(plan, rollout);
}

std::vector<std::string> schema_names(std::size_t count, const std::string& prefix) {
  std::vector<std::string> names;
  for (std::size_t i = 1; i <= count; ++i)
    names.push_back(fmt::format("{}{:02}", prefix, i));
  return names;
}

ServerLog::ServerLog() {
  const char* path = std::getenv("PGLOGFILE");
  if (path == nullptr)
    throw std::runtime_error("PGLOGFILE is not set (run the test by scripts/test)");
  path_ = path;
  begin_ = std::filesystem::file_size(path_);
}

std::vector<std::string> ServerLog::lines(const std::string& word) const {
  std::ifstream file(path_);
  file.seekg(static_cast<std::streamoff>(begin_));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.find(word) != std::string::npos)
      lines.push_back(line);
  }
  return lines;
}

}  // namespace tenantctl::testing
