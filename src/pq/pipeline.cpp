#include "pq/pipeline.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <utility>

#include "pq/stop_point.h"

namespace tenantctl::pq {
std::string_view Row::text(int column) const {
  return {PQgetvalue(result_, 0, column),
          static_cast<std::size_t>(PQgetlength(result_, 0, column))};
}

bool Row::is_null(int column) const { return PQgetisnull(result_, 0, column) != 0; }

const Answer* FlightAnswer::failure() const {
  for (const Answer& answer : answers) {
    if (answer.kind == Answer::Kind::failed) {
      return &answer;
    }
  }
  return nullptr;
}

Pipeline::Pipeline(Connection& connection) : connection_(connection) { begin(); }

void Pipeline::begin() {
  if (PQsetnonblocking(connection_.handle(), 1) != 0 ||
      PQenterPipelineMode(connection_.handle()) != 1) {
    fail();
  }
}

void Pipeline::suspend() {
  if (PQexitPipelineMode(connection_.handle()) != 1) {
    fail();
  }
}

void Pipeline::resume() { begin(); }

void Pipeline::restart(Connection fresh) {
  connection_ = std::move(fresh);
  flights_.clear();
  complete_.clear();
  last_words_ = {};
  wants_write_ = false;
  lost_ = false;
  ++generation_;
  begin();
}

void Pipeline::send(std::vector<Message> messages) {
  if (lost_) {
    throw ConnectionLost("the connection was lost");
  }
  PGconn* handle = connection_.handle();
  stop_before_flight(connection_);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    std::vector<const char*> values;
    for (const auto& value : message.values) {
      values.push_back(value ? value->c_str() : nullptr);
    }
    const auto count = static_cast<int>(values.size());
    const int sent = message.prepared.empty()
                         ? PQsendQueryParams(handle, message.sql.c_str(), count, nullptr,
                                             values.data(), nullptr, nullptr, 0)
                         : PQsendQueryPrepared(handle, std::string(message.prepared).c_str(), count,
                                               values.data(), nullptr, nullptr, 0);
    if (sent != 1) {
      fail();
    }
    stop_behind_message(i, connection_);
  }
  if (PQpipelineSync(handle) != 1) {
    fail();
  }
  const bool first = flights_.empty();
  flights_.push_back({.messages = std::move(messages), .answer = {}, .next = 0});
  // Only possible before the first result of a query is asked for.
  if (first) {
    PQsetSingleRowMode(handle);
  }
  // No reading here: an answer taken off the socket now would leave nothing for poll() to see.
  flush();
  stop_behind_flight(connection_);
}

void Pipeline::flush() {
  PGconn* handle = connection_.handle();
  const int flushed = PQflush(handle);
  if (flushed < 0) {
    // What the server said before it went away is still in the socket.
    PQconsumeInput(handle);
    read_results();
    fail();
  }
  wants_write_ = flushed == 1;
}

void Pipeline::advance() {
  PGconn* handle = connection_.handle();
  flush();
  const bool alive = PQconsumeInput(handle) == 1;
  read_results();
  if (!alive || PQstatus(handle) == CONNECTION_BAD) {
    fail();
  }
}

void Pipeline::read_results() {
  PGconn* handle = connection_.handle();
  while (!flights_.empty() && PQisBusy(handle) == 0) {
    PGresult* result = PQgetResult(handle);
    if (result != nullptr) {
      receive(result);
      continue;
    }
    if (PQstatus(handle) == CONNECTION_BAD) {
      return;
    }
    // A null result ends one message; the next one's mode is set before its first result.
    Flight& flight = flights_.front();
    if (flight.next < flight.messages.size()) {
      ++flight.next;
    }
    PQsetSingleRowMode(handle);
  }
}

void Pipeline::receive(pg_result* result) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> owned(result, PQclear);
  if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
    finish_flight();
    return;
  }
  Flight& flight = flights_.front();
  if (flight.answer.answers.size() <= flight.next) {
    flight.answer.answers.resize(flight.next + 1);
  }
  receive_result(flight, result);
}

void Pipeline::receive_result(Flight& flight, pg_result* result) {
  // What the Sync itself refuses, a deferred constraint say, is the last message's failure: that
  // one was answered, but its work is not kept.
  Answer& answer = flight.answer.answers[std::min(flight.next, flight.messages.size() - 1)];
  switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
      if (const auto& on_row = flight.messages[flight.next].on_row) {
        on_row(Row(result));
      }
      break;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
      answer.kind = Answer::Kind::done;
      answer.tag = PQcmdStatus(result);
      break;
    case PGRES_PIPELINE_ABORTED:
      answer.kind = Answer::Kind::skipped;
      break;
    default:
      // The first error of a message is the reason; a second one only says that the link is down.
      if (answer.kind != Answer::Kind::failed) {
        answer.kind = Answer::Kind::failed;
        answer.error = fields_of(result);
      }
      if (answer.error->severity == "FATAL" || answer.error->severity == "PANIC") {
        last_words_ = *answer.error;
      }
  }
}

void Pipeline::finish_flight() {
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  flight.answer.answers.resize(flight.messages.size());
  const PGTransactionStatusType status = PQtransactionStatus(connection_.handle());
  // libpq tells the state only when nothing is in flight behind; a refused flight tells it as well.
  const Answer* failure = flight.answer.failure();
  const bool was_refused = failure != nullptr && failure->error->is("25P02");
  flight.answer.in_failed_transaction = status == PQTRANS_INERROR || was_refused;
  flight.answer.in_transaction = status == PQTRANS_INTRANS;
  complete_.push_back(std::move(flight.answer));
  if (!flights_.empty()) {
    PQsetSingleRowMode(connection_.handle());
  }
}

std::optional<FlightAnswer> Pipeline::take() {
  if (complete_.empty()) {
    return std::nullopt;
  }
  FlightAnswer answer = std::move(complete_.front());
  complete_.pop_front();
  return answer;
}

// What the server is at, as far as we know: shortened, on one line.
std::string Pipeline::awaited() const {
  constexpr std::size_t most = 70;
  if (flights_.empty()) {
    return "";
  }
  const Flight& flight = flights_.front();
  std::string text;
  for (const char c : flight.messages[std::min(flight.next, flight.messages.size() - 1)].sql) {
    text += c == '\n' ? ' ' : c;
  }
  return text.size() > most ? text.substr(0, most) + "..." : text;
}

FlightAnswer Pipeline::wait_for_answer(std::vector<Message> messages, Deadline deadline) {
  const Deadline begin = Clock::now();
  bool sent = false;
  while (true) {
    // What others sent before is answered first, and is theirs to take. Not sent behind it: poolers
    // part a session's flights.
    if (!sent && flights_.empty()) {
      send(std::move(messages));
      sent = true;
    } else if (flights_.empty()) {
      FlightAnswer answer = std::move(complete_.back());
      complete_.pop_back();
      return answer;
    }
    if (!wait_for(connection_.socket(), wants_write_, deadline)) {
      lost_ = true;
      throw ConnectionLost(fmt::format("no answer from the server within {:.1f} s to: {}",
                                       std::chrono::duration<double>(Clock::now() - begin).count(),
                                       awaited()));
    }
    advance();
  }
}

void Pipeline::fail() {
  lost_ = true;
  if (!last_words_.sqlstate.empty()) {
    throw ConnectionLost(fmt::format("the connection was lost: {} (SQLSTATE {})",
                                     last_words_.message, last_words_.sqlstate),
                         last_words_);
  }
  std::string text = PQerrorMessage(connection_.handle());
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  for (char& c : text) {
    if (c == '\n' || c == '\t') {
      c = ' ';
    }
  }
  throw ConnectionLost("the connection was lost: " + text);
}

}  // namespace tenantctl::pq
