#include "rollout/worker.h"

#include <algorithm>
#include <utility>

#include "migrate/segment_points.h"
#include "pq/stop_point.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// The server says no for good, or for as long as others hold its slots.
bool is_final(const std::string& sqlstate) {
  return sqlstate == "53300" || sqlstate.starts_with("28") || sqlstate.starts_with("3D") ||
         sqlstate == "42501";
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
  connection_.reset();
  why_ = error.what();
  const bool out_of_time = now - *down_since_ >= options_.reconnect_timeout;
  // Before the first connection nothing is in doubt, so there is nothing to wait for.
  if (is_final(error.sqlstate()) || out_of_time || !was_ready_) {
    state_ = State::retired;
    return;
  }
  state_ = State::idle;
  deadline_ = now + 200ms;
}

bool Worker::can_take() const {
  const std::size_t in_flight = segments_in_flight();
  const bool has_room = in_flight < depth() && schemas_ + in_flight < options_.schemas_per_session;
  return state_ == State::ready && holder_ == nullptr && has_room &&
         (flights_.empty() || !flights_.back().exclusive);
}

bool Worker::can_take(const Job& job) const {
  return can_take() && (!job.wants_room() || segments_in_flight() == 0);
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
      throw pq::ConnectFailed("cannot connect: no answer in time", "", "");
    }
    const auto progress = connection_->advance();
    connecting_wants_write_ = progress == pq::Connection::Progress::writing;
    if (progress != pq::Connection::Progress::ready) {
      return;
    }
    pipeline_ = std::make_unique<pq::Pipeline>(*connection_);
    state_ = State::ready;
    was_ready_ = true;
    down_since_.reset();
    rollback_sent_ = false;
    discard_due_ = false;
    unlock_due_ = false;
    schemas_ = 0;
    pq::stop_point(pq::StopPoint::connected, "", connection_.get());
    send({.purpose = Purpose::setup, .sent_at = pq::Clock::now()}, options_.setup);
  } catch (const pq::ConnectFailed& error) {
    connect_failed(error, now);
  } catch (const pq::ConnectionLost& error) {
    connect_failed(pq::ConnectFailed(error.what(), "", ""), now);
  }
}

void Worker::advance_ready(pq::Deadline now) {
  try {
    pipeline_->advance();
  } catch (const pq::ConnectionLost& error) {
    // Answers that came before the loss are known.
    while (auto answer = pipeline_->take()) {
      const Flight flight = flights_.front();
      flights_.pop_front();
      land(flight, *answer, now);
    }
    drop(error.what(), now);
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
    if (failed_setups_ >= 3) {
      state_ = State::retired;
    }
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

std::vector<Job*> Worker::released() { return std::exchange(released_, {}); }

int Worker::backend_pid() const {
  return connection_ != nullptr && state_ == State::ready ? connection_->backend_pid() : 0;
}

void Worker::cancel() const {
  if (connection_ != nullptr && state_ == State::ready) {
    connection_->cancel();
  }
}

void Worker::drop(const std::string& why, pq::Deadline now) {
  pipeline_.reset();
  connection_.reset();
  for (const Flight& flight : std::exchange(flights_, {})) {
    if (flight.job == nullptr) {
      continue;
    }
    flight.job->lose(why, true, now);
    if (flight.job == holder_) {
      holder_ = nullptr;
    }
    released_.push_back(flight.job);
  }
  if (holder_ != nullptr) {
    holder_->lose(why, false, now);
    released_.push_back(std::exchange(holder_, nullptr));
  }
  state_ = State::idle;
  why_ = why;
  deadline_ = now;
}

}  // namespace tenantctl
