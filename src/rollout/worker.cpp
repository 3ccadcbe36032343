#include "rollout/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "migrate/segment_points.h"
#include "pq/stop_point.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// The server says no for good.
bool is_final(const std::string& sqlstate) {
  // 55000: the database takes no connections.
  return sqlstate.starts_with("28") || sqlstate.starts_with("3D") || sqlstate == "42501" ||
         sqlstate == "55000";
}

// A server that starts takes a moment; one that is away for long is not to be hammered.
std::chrono::milliseconds pause_after(std::uint32_t failures) {
  return std::min(100ms * (1U << std::min(failures, 5U)), 2'000ms);
}

}  // namespace

void Worker::connect(pq::Deadline now) {
  if (state_ != State::idle || now < deadline_) {
    return;
  }
  if (!down_since_) {
    down_since_ = now;
  }
  try {
    connection_ = std::make_unique<pq::Connection>(pq::Connection::start(options_.connect));
    connecting_wants_write_ = true;
    state_ = State::connecting;
    deadline_ = now + options_.connect.timeout;
  } catch (const pq::ConnectFailed& error) {
    connect_failed(error, now);
  }
}

void Worker::connect_failed(const pq::ConnectFailed& error, pq::Deadline now) {
  flights_.clear();
  pipeline_.reset();
  connection_.reset();
  why_ = error.what();
  const bool out_of_time = now - *down_since_ >= options_.reconnect_timeout;
  // Before the first connection nothing is in doubt, so there is nothing to wait for; after it, a
  // server without a free slot may be one that everybody comes back to. Another database was
  // reached when the plan was made.
  const bool was_reached = was_ready_ || site_ != 0;
  if (is_final(error.sqlstate()) || out_of_time || !was_reached) {
    give_up_connecting(error.sqlstate(), now);
    return;
  }
  state_ = State::idle;
  deadline_ = now + pause_after(failed_connects_++);
}

// Elsewhere only the errand fails: there is more to do in other places.
void Worker::give_up_connecting(const std::string& sqlstate, pq::Deadline now) {
  if (site_ == 0) {
    state_ = State::retired;
    if (errand_ != nullptr) {
      released_.push_back(std::exchange(errand_, nullptr));
    }
    return;
  }
  if (errand_ != nullptr) {
    errand_->give_up_unreachable(why_, sqlstate);
    released_.push_back(std::exchange(errand_, nullptr));
  }
  state_ = State::idle;
  deadline_ = now;
  failed_connects_ = 0;
  failed_setups_ = 0;
  down_since_.reset();
}

bool Worker::is_free() const {
  const bool is_settled = state_ == State::idle || (state_ == State::ready && identified_);
  return is_settled && !is_busy();
}

void Worker::go(Job& job, const pq::ConnectOptions& connect, pq::Deadline now) {
  pipeline_.reset();
  connection_.reset();
  state_ = State::idle;
  deadline_ = now;
  failed_connects_ = 0;
  failed_setups_ = 0;
  down_since_.reset();
  // The name tells workers apart where a pooler hides their backends.
  std::string name = std::move(options_.connect.application_name);
  options_.connect = connect;
  options_.connect.application_name = std::move(name);
  site_ = job.site();
  errand_ = &job;
}

void Worker::continue_errand(bool may_begin, pq::Deadline now) {
  if (errand_ == nullptr) {
    return;
  }
  // Reading settles a doubt and begins nothing.
  if (!may_begin && !errand_->is_unsettled()) {
    released_.push_back(std::exchange(errand_, nullptr));
    return;
  }
  if (state_ == State::ready && identified_ && flights_.empty()) {
    take(*std::exchange(errand_, nullptr), now);
  }
}

bool Worker::can_take() const {
  const std::size_t in_flight = segments_in_flight();
  const bool has_room = in_flight < depth() && schemas_ + in_flight < options_.schemas_per_session;
  // PgBouncer 1.18 gives the server connection to somebody else at the end of a transaction
  // although the beginning of the next flight is on it already (tried: two runs' transactions got
  // mixed).
  if (!backend_.is_known() && !flights_.empty()) {
    return false;
  }
  return state_ == State::ready && identified_ && holder_ == nullptr && errand_ == nullptr &&
         has_room && (flights_.empty() || !flights_.back().exclusive);
}

bool Worker::can_take(const Job& job) const {
  return can_take() && job.site() == site_ && (!job.wants_room() || segments_in_flight() == 0);
}

std::size_t Worker::depth() const {
  const std::size_t most = std::min(options_.depth, most_);
  if (!options_.adapts) {
    return most;
  }
  if (!schema_time_ || *schema_time_ > 1s) {
    return 1;
  }
  const auto round_trip = round_trip_.value_or(0us);
  const auto fills = round_trip / std::max(*schema_time_, 1us) + 2;
  return std::min(most, static_cast<std::size_t>(fills));
}

Job* Worker::current() const {
  for (const Flight& flight : flights_) {
    if (flight.job != nullptr) {
      return flight.job;
    }
  }
  return nullptr;
}

std::size_t Worker::segments_in_flight() const {
  const auto count = std::count_if(flights_.begin(), flights_.end(), [](const Flight& flight) {
    return flight.purpose == Purpose::segment;
  });
  return static_cast<std::size_t>(count);
}

void Worker::take(Job& job, pq::Deadline now) {
  if (!job.is_alone()) {
    send_segment(job, now);
    return;
  }
  holder_ = &job;
  if (flights_.empty()) {
    send_segment(job, now);
  }
}

void Worker::continue_holder(bool may_begin, pq::Deadline now) {
  if (holder_ == nullptr || !flights_.empty() || holder_->state() != Job::State::ready) {
    return;
  }
  if (!may_begin && holder_->begins_work()) {
    holder_->stop(now);
    if (holder_->state() != Job::State::ready) {
      released_.push_back(std::exchange(holder_, nullptr));
      return;
    }
  }
  send_segment(*holder_, now);
}

void Worker::send_segment(Job& job, pq::Deadline now) {
  const bool exclusive = job.wants_room();
  Segment segment = job.take(now);
  announce_points(job.schema(), segment);
  const bool discards = !segment.alone && job.leaves_traces();
  const bool took_setup = segment.discards;
  try {
    send({.purpose = Purpose::segment,
          .job = &job,
          .holds_lock = segment.holds_lock,
          .exclusive = exclusive,
          .sent_at = now},
         std::move(segment.messages));
    if (discards) {
      discard();
    } else if (took_setup) {
      send({.purpose = Purpose::setup, .sent_at = pq::Clock::now()}, options_.setup);
    }
  } catch (const pq::ConnectionLost& error) {
    drop(error.what(), now);
  }
}

void Worker::send(const Flight& flight, std::vector<pq::Message> messages) {
  if (messages.empty()) {
    return;
  }
  flights_.push_back(flight);
  flights_.back().found_idle = flights_.size() == 1;
  if (flights_.size() == 1) {
    current_since_ = pq::Clock::now();
  }
  pipeline_->send(std::move(messages));
}

void Worker::send(Purpose purpose, pq::Message message) {
  std::vector<pq::Message> messages;
  messages.push_back(std::move(message));
  send({.purpose = purpose}, std::move(messages));
}

void Worker::discard() {
  send(Purpose::discard, VersionTable::discard());
  send({.purpose = Purpose::setup, .sent_at = pq::Clock::now()}, options_.setup);
}

int Worker::socket() const {
  return connection_ != nullptr && state_ != State::idle ? connection_->socket() : -1;
}

bool Worker::wants_write() const {
  if (state_ == State::connecting) {
    return connecting_wants_write_;
  }
  return pipeline_ != nullptr && pipeline_->wants_write();
}

void Worker::advance(pq::Deadline now) {
  if (state_ == State::connecting) {
    advance_connecting(now);
  }
  if (state_ == State::ready) {
    advance_ready(now);
  }
}

void Worker::advance_connecting(pq::Deadline now) {
  try {
    if (now >= deadline_) {
      throw pq::ConnectFailed(
          fmt::format("cannot connect: no answer within {} ms", options_.connect.timeout.count()),
          "Check host and port, or give more time with --connect-timeout.", "");
    }
    const auto progress = connection_->advance();
    connecting_wants_write_ = progress == pq::Connection::Progress::writing;
    if (progress != pq::Connection::Progress::ready) {
      return;
    }
    pipeline_ = std::make_unique<pq::Pipeline>(*connection_);
    state_ = State::ready;
    heard_at_ = now;
    stuck_since_.reset();
    rollback_sent_ = false;
    discard_due_ = false;
    unlock_due_ = false;
    schemas_ = 0;
    pq::stop_point(pq::StopPoint::connected, "", connection_.get());
    send({.purpose = Purpose::setup, .sent_at = pq::Clock::now()}, options_.setup);
    identify();
  } catch (const pq::ConnectFailed& error) {
    connect_failed(error, now);
  } catch (const pq::ConnectionLost& error) {
    drop(error.what(), now);
    retire_if_hopeless(now);
  }
}

// Who serves us, and of which server: a fail-over may have happened since the last connection.
// Before any work: what a lost session leaves behind can then be told from everybody else's.
void Worker::identify() {
  backend_ = {};
  identified_ = false;
  standby_ = false;
  startup_pid_ = connection_->backend_pid();
  server_.clear();
  std::vector<pq::Message> messages = pq::question_settings(pq::login_role);
  messages.push_back(
      {.sql = fmt::format("SELECT a.pid, {}, pg_catalog.pg_is_in_recovery(), "
                          "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.left("
                          "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) END "
                          "FROM pg_catalog.pg_stat_activity a "
                          "WHERE a.pid = pg_catalog.pg_backend_pid()",
                          started_column),
       .on_row = [this](const pq::Row& row) {
         backend_ = {.pid = std::stoi(std::string(row.text(0))),
                     .started = std::stoll(std::string(row.text(1)))};
         standby_ = row.text(2) == "t";
         timeline_ = row.text(3);
       }});
  messages.push_back({.sql = "SELECT s.system_identifier FROM pg_catalog.pg_control_system() s",
                      .on_row = [this](const pq::Row& row) {
                        server_ = fmt::format("system {}, timeline {}", row.text(0), timeline_);
                      }});
  send({.purpose = Purpose::identify}, std::move(messages));
}

void Worker::check_identity(const pq::FlightAnswer& answer) {
  const pq::Answer* failure = answer.failure();
  if (failure != nullptr && failure->error->is("57014")) {
    identify();
    return;
  }
  if (standby_) {
    throw pq::ConnectionLost("the server is a standby now");
  }
  // Through a pooler the next transaction may have another backend.
  if (startup_pid_ != backend_.pid) {
    backend_ = {};
  }
  down_since_.reset();
  failed_connects_ = 0;
  identified_ = true;
  was_ready_ = true;
}

void Worker::advance_ready(pq::Deadline now) {
  heard_at_ = now;
  stuck_since_.reset();
  try {
    pipeline_->advance();
    if (!identified_ && pipeline_->in_flight() > 0 && now >= deadline_) {
      throw pq::ConnectionLost("the server does not answer");
    }
  } catch (const pq::ConnectionLost& error) {
    // Answers that came before the loss are known, but nothing can be sent because of them.
    while (auto answer = pipeline_->take()) {
      const Flight flight = flights_.front();
      flights_.pop_front();
      try {
        land(flight, *answer, now);
      } catch (const pq::ConnectionLost&) {
        continue;
      }
    }
    drop(error.what(), now);
    retire_if_hopeless(now);
    return;
  }
  try {
    while (auto answer = pipeline_->take()) {
      const Flight flight = flights_.front();
      flights_.pop_front();
      measure(flight, now);
      land(flight, *answer, now);
      recover(*answer);
    }
    recycle(now);
  } catch (const pq::ConnectionLost& error) {
    drop(error.what(), now);
    retire_if_hopeless(now);
  }
}

void Worker::retire_if_hopeless(pq::Deadline now) {
  const bool out_of_time = down_since_ && now - *down_since_ >= options_.reconnect_timeout;
  // One that was never at work is not worth the whole time.
  const bool was_useless = !was_ready_ && failed_connects_ >= 3;
  if (failed_setups_ >= 3 || out_of_time || was_useless) {
    give_up_connecting("", now);
  }
}

void Worker::measure(const Flight& flight, pq::Deadline now) {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  if (flight.purpose == Purpose::setup && flight.found_idle) {
    round_trip_ = duration_cast<microseconds>(now - flight.sent_at);
  }
  if (flight.purpose == Purpose::segment) {
    const auto whole = duration_cast<microseconds>(now - std::max(flight.sent_at, current_since_));
    const auto travel = flight.found_idle ? round_trip_.value_or(0us) : 0us;
    const auto time = std::max(whole - travel, 1us);
    schema_time_ = schema_time_ ? (*schema_time_ * 3 + time) / 4 : time;
    ++schemas_;
  }
  current_since_ = now;
}

void Worker::recycle(pq::Deadline now) {
  if (schemas_ < options_.schemas_per_session || is_busy()) {
    return;
  }
  pipeline_.reset();
  connection_.reset();
  state_ = State::idle;
  deadline_ = now;
}

void Worker::land(const Flight& flight, const pq::FlightAnswer& answer, pq::Deadline now) {
  switch (flight.purpose) {
    case Purpose::segment:
      unlock_due_ = unlock_due_ || (flight.holds_lock && answer.failure() != nullptr);
      pq::stop_point(flight.job == holder_ && !holder_->is_recording()
                         ? pq::StopPoint::outside_answered
                         : pq::StopPoint::segment_answered,
                     flight.job->schema(), connection_.get());
      flight.job->fold(answer, now);
      if (flight.job == holder_ && flight.job->holds_connection()) {
        return;
      }
      if (flight.job == holder_) {
        holder_ = nullptr;
      }
      released_.push_back(flight.job);
      break;
    case Purpose::rollback:
      rollback_sent_ = false;
      break;
    case Purpose::discard:
      discard_due_ = answer.failure() != nullptr;
      break;
    case Purpose::unlock:
      unlock_due_ = unlock_due_ || answer.failure() != nullptr;
      break;
    case Purpose::setup:
      check_setup(answer);
      break;
    case Purpose::identify:
      check_identity(answer);
      break;
  }
}

// Refused behind a failed segment, it comes again with the DISCARD ALL before it.
void Worker::check_setup(const pq::FlightAnswer& answer) {
  const pq::Answer* failure = answer.failure();
  if (failure == nullptr) {
    failed_setups_ = 0;
    pq::stop_point(pq::StopPoint::set_up, "", connection_.get());
  } else if (failure->error->is("57014")) {
    send({.purpose = Purpose::setup, .sent_at = pq::Clock::now()}, options_.setup);
  } else if (!failure->error->is("25P02")) {
    ++failed_setups_;
    throw pq::ConnectionLost("the session could not be set up: " + failure->error->message);
  }
}

// A failed transaction refuses everything behind it until one ROLLBACK; sent once, or the second
// would put a WARNING into the server's log.
void Worker::recover(const pq::FlightAnswer& answer) {
  if (answer.in_failed_transaction && !rollback_sent_) {
    rollback_sent_ = true;
    send(Purpose::rollback, {.sql = "ROLLBACK"});
  }
  // Right behind the ROLLBACK, before the next schema's segment. It must not wait for a look at the
  // flight behind: a schema's lock is not kept while nothing runs.
  if (std::exchange(discard_due_, false)) {
    discard();
  }
  if (std::exchange(unlock_due_, false)) {
    send(Purpose::unlock, VersionTable::unlock_all());
  }
}

bool Worker::is_cancellable() const {
  const Job* job = current();
  return job != nullptr && !job->is_unsettled() && !(holder_ != nullptr && holder_->is_recording());
}

std::vector<Job*> Worker::released() { return std::exchange(released_, {}); }

void Worker::cancel() {
  if (connection_ != nullptr && state_ == State::ready) {
    cancel_.send(*connection_);
  }
}

void Worker::observe(bool works, pq::Deadline now) {
  if (works) {
    stuck_since_.reset();
  } else if (!stuck_since_) {
    stuck_since_ = now;
  }
}

void Worker::drop(const std::string& why, pq::Deadline now) {
  const Job::Loss loss{.why = why, .backend = std::exchange(backend_, {})};
  const Job* at_server = current();
  pipeline_.reset();
  connection_.reset();
  for (const Flight& flight : std::exchange(flights_, {})) {
    if (flight.job == nullptr) {
      continue;
    }
    flight.job->lose(loss, flight.job == at_server ? Job::Lost::at_server : Job::Lost::in_flight,
                     now);
    if (flight.job == holder_) {
      holder_ = nullptr;
    }
    released_.push_back(flight.job);
  }
  if (holder_ != nullptr) {
    holder_->lose(loss, Job::Lost::nothing, now);
    released_.push_back(std::exchange(holder_, nullptr));
  }
  state_ = State::idle;
  stuck_since_.reset();
  why_ = why;
  // At once, unless connections are lost as soon as they are made.
  deadline_ = failed_connects_ == 0 && !down_since_ ? now : now + pause_after(failed_connects_);
  ++failed_connects_;
}

}  // namespace tenantctl
