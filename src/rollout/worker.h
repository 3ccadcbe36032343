#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pq/cancel_request.h"
#include "pq/pipeline.h"
#include "rollout/backend.h"
#include "rollout/job.h"

namespace tenantctl {

/// A connection at work in a rollout's poll loop: takes jobs, sends their segments (several schemas
/// in flight, see depth()), hands the answers back. Connects, and after a loss connects again, by
/// itself. Jobs belong to the rollout; a worker forgets a job once its answer is folded, except one
/// that holds the connection (work outside a transaction, under a session lock).
///
/// A connection leads to one database. For a job of another one the worker goes there: closes what
/// it has and connects anew, with the job as its errand. So there are never more connections than
/// workers, and a database that cannot be reached is that job's failure, not the worker's.
class Worker {
 public:
  struct Options {
    pq::ConnectOptions connect;
    std::size_t depth = 8;  ///< at most so many schemas in flight
    bool adapts = true;     ///< fewer where a round trip is short beside a schema's work
    /// A backend's caches grow with every schema that it touches (about 115 kB for 20 fresh
    /// revisions, 30 kB for one more: scripts/bench --only memory): so many, then a new connection.
    std::size_t schemas_per_session = 500;
    /// Sent first on each connection, and again after a DISCARD ALL; see session_setup().
    std::vector<pq::Message> setup;
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
  /// Waits for the server, without work: deadline() holds.
  bool is_connecting() const {
    return state_ == State::connecting || (state_ == State::ready && !identified_);
  }

  /// Begins to connect when idle and its pause is over.
  void connect(pq::Deadline now);

  bool can_take() const;
  bool can_take(const Job& job) const;
  /// Has nothing under way, so that it may go elsewhere.
  bool is_free() const;
  /// Where the connection leads, or led: Job::site().
  std::uint32_t site() const { return site_; }
  /// Goes where the job is, and takes it there. Only when free.
  void go(Job& job, const pq::ConnectOptions& connect, pq::Deadline now);
  bool has_errand() const { return errand_ != nullptr; }
  /// Takes the job that it went for, if it has arrived; lets it go if no work may begin.
  void continue_errand(bool may_begin, pq::Deadline now);
  /// How many schemas may be in flight now: one until a round trip and a schema's time on the
  /// server are known, then as many as fill the round trip.
  std::size_t depth() const;
  /// From now on at most so many, whatever the figures say.
  void limit_depth(std::size_t most) { most_ = most; }
  /// The job whose segment the server is at, or nullptr.
  Job* current() const;
  pq::Deadline current_since() const { return current_since_; }
  void take(Job& job, pq::Deadline now);
  bool is_busy() const { return !flights_.empty() || holder_ != nullptr || errand_ != nullptr; }

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

  /// Something is under way that a cancel may end: neither our own bookkeeping outside a
  /// transaction nor a reading that settles a doubt.
  bool is_cancellable() const;
  /// As the server said when the connection was made; not known behind a pooler.
  const Backend& backend() const { return backend_; }
  const std::string& application_name() const { return options_.connect.application_name; }
  /// The server's system identifier and timeline, or empty until it has said so.
  const std::string& server() const { return server_; }
  /// Asks for a cancel without the control connection; see pq::CancelRequest.
  void cancel();
  bool is_cancelling() { return cancel_.is_under_way(); }
  /// Closes the connection at once; what was in flight is in doubt.
  void drop(const std::string& why, pq::Deadline now);

  /// The server was asked what the backend is at: whether it works, or waits for us, or is gone.
  void observe(bool works, pq::Deadline now);
  /// Since when the server has had nothing left to do for us, while we still wait for its answer:
  /// the answer, or what was sent, is lost on the way.
  std::optional<pq::Deadline> stuck_since() const { return stuck_since_; }
  /// When the connection last gave a sign of life.
  pq::Deadline heard_at() const { return heard_at_; }

 private:
  enum class Purpose { segment, rollback, discard, unlock, setup, identify };
  struct Flight {
    Purpose purpose = Purpose::segment;
    Job* job = nullptr;
    bool holds_lock = false;  ///< of the segment
    bool exclusive = false;   ///< nothing may follow it while it is in flight
    bool found_idle = false;  ///< the server had nothing else of ours when it was sent
    pq::Deadline sent_at{};
  };

  void advance_connecting(pq::Deadline now);
  void advance_ready(pq::Deadline now);
  void connect_failed(const pq::ConnectFailed& error, pq::Deadline now);
  void send(const Flight& flight, std::vector<pq::Message> messages);
  void send(Purpose purpose, pq::Message message);
  void discard();
  std::size_t segments_in_flight() const;
  void measure(const Flight& flight, pq::Deadline now);
  void recycle(pq::Deadline now);
  void identify();
  void retire_if_hopeless(pq::Deadline now);
  void give_up_connecting(const std::string& sqlstate, pq::Deadline now);
  void check_identity(const pq::FlightAnswer& answer);
  void check_setup(const pq::FlightAnswer& answer);
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
  bool unlock_due_ = false;
  int failed_setups_ = 0;              ///< in a row
  std::uint32_t failed_connects_ = 0;  ///< in a row
  Backend backend_;
  bool identified_ = false;  ///< no work is taken before
  int startup_pid_ = 0;      ///< what a pooler says is of its own making
  bool standby_ = false;
  std::string server_;
  std::string timeline_;
  pq::Deadline heard_at_{};
  std::optional<pq::Deadline> stuck_since_;
  pq::CancelRequest cancel_;
  std::size_t most_ = 128;
  std::size_t schemas_ = 0;  ///< of this session
  pq::Deadline current_since_{};
  std::optional<std::chrono::microseconds> round_trip_;
  std::optional<std::chrono::microseconds> schema_time_;  ///< on the server, smoothed
  Job* holder_ = nullptr;
  Job* errand_ = nullptr;  ///< what it goes to another site for
  std::uint32_t site_ = 0;
  std::vector<Job*> released_;
};

}  // namespace tenantctl
