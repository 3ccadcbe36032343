#include "rollout/worker.h"

#include <algorithm>
#include <utility>

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
  return state_ == State::ready && holder_ == nullptr && flights_.size() < options_.depth;
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
  Segment segment = job.take(now);
  const bool discards = !segment.alone && job.leaves_traces();
  try {
    send(Purpose::segment, &job, std::move(segment.messages));
    if (discards) {
      std::vector<pq::Message> discard;
      discard.push_back({.sql = "DISCARD ALL"});
      send(Purpose::discard, nullptr, std::move(discard));
    }
  } catch (const pq::ConnectionLost& error) {
    drop(error.what(), now);
  }
}

void Worker::send(Purpose purpose, Job* job, std::vector<pq::Message> messages) {
  flights_.push_back({purpose, job});
  pipeline_->send(std::move(messages));
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
      land(flight, *answer, now);
      recover(*answer);
    }
  } catch (const pq::ConnectionLost& error) {
    drop(error.what(), now);
  }
}

void Worker::land(const Flight& flight, const pq::FlightAnswer& answer, pq::Deadline now) {
  switch (flight.purpose) {
    case Purpose::segment:
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
  }
}

// A failed transaction refuses everything behind it until one ROLLBACK; sent once, or the second
// would put a WARNING into the server's log.
void Worker::recover(const pq::FlightAnswer& answer) {
  if (answer.in_failed_transaction && !rollback_sent_) {
    rollback_sent_ = true;
    std::vector<pq::Message> rollback;
    rollback.push_back({.sql = "ROLLBACK"});
    send(Purpose::rollback, nullptr, std::move(rollback));
  }
  // Right behind the ROLLBACK, before the next schema's segment.
  if (discard_due_) {
    discard_due_ = false;
    std::vector<pq::Message> discard;
    discard.push_back({.sql = "DISCARD ALL"});
    send(Purpose::discard, nullptr, std::move(discard));
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
