#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "rollout/job.h"

namespace tenantctl {

/// A connection at work in a rollout's poll loop: takes jobs, sends their segments (up to `depth`
/// schemas in flight), hands the answers back. Connects, and after a loss connects again, by
/// itself. Jobs belong to the rollout; a worker forgets a job once its answer is folded, except one
/// that holds the connection (work outside a transaction, under a session lock).
class Worker {
 public:
  struct Options {
    pq::ConnectOptions connect;
    std::size_t depth = 1;
    std::chrono::milliseconds reconnect_timeout{30'000};
  };

  explicit Worker(Options options) : options_(std::move(options)) {}

  enum class State {
    idle,  ///< no connection yet, or lost: connects when there is work
    connecting,
    ready,
    retired  ///< cannot connect; why() tells
  };
  State state() const { return state_; }
  const std::string& why() const { return why_; }
  bool was_ready() const { return was_ready_; }

  /// Begins to connect when idle and its pause is over.
  void connect(pq::Deadline now);

  bool can_take() const;
  void take(Job& job, pq::Deadline now);
  bool is_busy() const { return !flights_.empty() || holder_ != nullptr; }

  int socket() const;
  bool wants_write() const;
  /// When something must happen without the socket: connecting times out, or begins again.
  pq::Deadline deadline() const { return deadline_; }

  /// Moves what is possible now. Jobs whose answer came are folded and listed in `ended_flights`.
  void advance(pq::Deadline now);
  /// Jobs that were let go since the last call, in whatever state they are.
  std::vector<Job*> released();

  /// Sends the next segment of the job that holds the connection, unless it may not begin more
  /// work.
  void continue_holder(bool may_begin, pq::Deadline now);

  /// Something is under way that a cancel may end: not our own bookkeeping outside a transaction.
  bool is_cancellable() const {
    return !flights_.empty() && !(holder_ != nullptr && holder_->is_recording());
  }
  int backend_pid() const;
  void cancel() const;
  /// Closes the connection at once; what was in flight is in doubt.
  void drop(const std::string& why, pq::Deadline now);

 private:
  enum class Purpose { segment, discard, rollback };
  struct Flight {
    Purpose purpose = Purpose::segment;
    Job* job = nullptr;
  };

  void advance_connecting(pq::Deadline now);
  void advance_ready(pq::Deadline now);
  void connect_failed(const pq::ConnectFailed& error, pq::Deadline now);
  void send(Purpose purpose, Job* job, std::vector<pq::Message> messages);
  void send_segment(Job& job, pq::Deadline now);
  void land(const Flight& flight, const pq::FlightAnswer& answer, pq::Deadline now);
  void recover(const pq::FlightAnswer& answer);

  Options options_;
  State state_ = State::idle;
  std::string why_;
  bool was_ready_ = false;
  pq::Deadline deadline_{};  ///< of connecting, or of the next try
  std::optional<pq::Deadline> down_since_;
  std::unique_ptr<pq::Connection> connection_;
  std::unique_ptr<pq::Pipeline> pipeline_;
  bool connecting_wants_write_ = true;
  std::deque<Flight> flights_;
  bool rollback_sent_ = false;
  bool discard_due_ = false;
  Job* holder_ = nullptr;
  std::vector<Job*> released_;
};

}  // namespace tenantctl
