#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rollout/report.h"

namespace tenantctl {

/// What a worker is at, as far as the server was asked: it is for schemas that take their time.
struct Activity {
  std::string schema;
  std::chrono::milliseconds duration{0};  ///< since the schema's first statement was sent
  std::string statement;                  ///< what runs, shortened; empty: not asked yet
  std::string wait;                       ///< `Lock relation`, empty: it does not wait
  std::optional<Blocker> blocker;
};

/// How far a run is.
struct Progress {
  std::size_t total = 0;
  std::size_t finished = 0;
  std::size_t problems = 0;
  std::size_t running = 0;
  std::size_t waiting = 0;  ///< for a lock, to try again
  std::size_t retried = 0;  ///< of the finished, those that needed more than one try
  std::array<std::size_t, result_count> counts{};  ///< of the finished, by Result
  std::size_t wave = 1;
  std::size_t waves = 1;
  std::vector<Activity> activities;  ///< longest first; only in tick()
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
  /// A wave begins: progress.wave of progress.waves, with so many schemas that have something to
  /// do. Only in runs of several waves.
  virtual void wave_started(const Progress& /*progress*/, std::size_t /*schemas*/) {}
  /// Something that people should know and that no schema's report says, as a sentence.
  virtual void warned(const std::string& /*message*/) {}
  virtual void finished(const SchemaReport& schema, const Progress& progress) = 0;
  /// About twice a second, also while nothing ends.
  virtual void tick(const Progress& progress) = 0;
  virtual void ended(const Report& report) = 0;
};

/// Passes everything on to several observers, which it does not own.
class Observers : public Observer {
 public:
  explicit Observers(std::vector<Observer*> all) : all_(std::move(all)) {}

  void started(const Progress& progress) override;
  void wave_started(const Progress& progress, std::size_t schemas) override;
  void warned(const std::string& message) override;
  void finished(const SchemaReport& schema, const Progress& progress) override;
  void tick(const Progress& progress) override;
  void ended(const Report& report) override;

 private:
  std::vector<Observer*> all_;
};

}  // namespace tenantctl
