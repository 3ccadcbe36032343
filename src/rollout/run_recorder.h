#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "pq/connection.h"
#include "rollout/observer.h"
#include "rollout/run_ledger.h"

namespace tenantctl {

/// Writes a run into the ledger while it goes on: the run before its first schema, schemas in
/// batches of a thousand or a second, the counts at the end. What cannot be written (no rights,
/// somebody else's tables) never stops the run: nothing of this throws, and why_not() says what
/// was in the way.
///
/// A run over a single schema is written in one go when it is over: its version table tells the
/// same if it never is.
class RunRecorder : public Observer {
 public:
  struct Options {
    std::vector<std::string> owners;
    pq::ConnectOptions reconnect;  ///< where `control` leads, for when it is lost
    bool locks = true;             ///< the session is ours: no pooler in between
    /// For so long a lost connection is waited for at the beginning and the end of the run; in
    /// between what is to be written waits.
    std::chrono::milliseconds reconnect_timeout{30'000};
  };

  /// `control` is idle whenever an Observer is called, and outlives this.
  RunRecorder(pq::Pipeline& control, Options options);
  /// Ends a run that was left by an exception as failed.
  ~RunRecorder() override;
  RunRecorder(const RunRecorder&) = delete;
  RunRecorder& operator=(const RunRecorder&) = delete;

  void begin(RunStart run);
  /// What is told from now on is about schemas of this scope.
  void enter(Scope scope) { scope_ = scope; }
  /// The scope is over: what the observer was not told, because no worker had it. With `again`
  /// what it was told of problems has changed since.
  void complete(Scope scope, const Report& report, bool again = false);
  void end(RunState state);

  /// The run is in the ledger, or will be when it ends.
  bool is_recording() const { return begun_ && why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }

  void started(const Progress& /*progress*/) override {}
  void finished(const SchemaReport& schema, const Progress& progress) override;
  void tick(const Progress& progress) override;
  void ended(const Report& /*report*/) override {}

 private:
  void keep(Scope scope, const SchemaReport& schema);
  using Write = std::function<void(RunLedger& ledger)>;

  void flush();
  /// `patience`: with a lost connection; zero: it is left to the rollout to connect again.
  bool attempt(const Write& write, std::chrono::milliseconds patience);
  bool attempt_once(const Write& write, bool reconnects);

  pq::Pipeline& pipeline_;
  Options options_;
  RunStart run_;
  RunEnd end_;
  Scope scope_ = Scope::tenant;
  bool begun_ = false;
  bool over_ = false;
  bool late_ = false;        ///< everything is written at the end
  bool stands_ = false;      ///< the run is in the ledger
  std::size_t held_in_ = 0;  ///< the pipeline's generation whose session holds the run's lock
  std::string why_not_;
  std::vector<RunSchema> rows_;               ///< not written yet
  std::unordered_set<std::string> problems_;  ///< of this scope, that the observer was told
  pq::Deadline written_{};
};

}  // namespace tenantctl
