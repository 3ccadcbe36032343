#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "pq/connection.h"
#include "pq/message.h"

namespace tenantctl::pq {

/// Sends flights, groups of messages closed by a Sync, over one connection and hands their answers
/// back in the order sent. Several flights may be under way (libpq's pipeline mode): a flight that
/// fails ends at its own Sync, and if it failed inside a transaction block, the flights behind it
/// are refused by the server with 25P02 until a ROLLBACK.
///
/// Never blocks but in wait_for_answer(): sends are non-blocking with reads between them, so that
/// neither side waits for the other with full buffers. The connection must outlive it and be ready.
class Pipeline {
 public:
  explicit Pipeline(Connection& connection);

  /// Queues a flight. Throws ConnectionLost.
  void send(std::vector<Message> messages);

  std::size_t in_flight() const { return flights_.size(); }
  bool wants_write() const { return wants_write_; }

  /// Moves what the socket is ready for. To be called when it is readable, or writable while
  /// wants_write(). Throws ConnectionLost.
  void advance();

  /// The next complete flight's answers, if there is one.
  std::optional<FlightAnswer> take();

  /// send() and wait: the one blocking call. Answers to what was sent before stay for take().
  /// Throws ConnectionLost, also when the deadline is over (the connection is then unusable: what
  /// was sent may still happen).
  FlightAnswer wait_for_answer(std::vector<Message> messages, Deadline deadline);

  /// Between the two the connection is a plain one, for COPY, which no pipeline takes. Nothing may
  /// be in flight. Throws ConnectionLost.
  void suspend();
  void resume();

  /// The connection ended, or a deadline did: nothing can be sent before restart().
  bool is_lost() const { return lost_; }
  /// Gives up what is in flight: whoever waited for it waited too long.
  void give_up() { lost_ = true; }
  /// A fresh, ready connection takes the place of the lost one, also for whoever else holds this
  /// pipeline or its connection. What was in flight is forgotten, with answers not taken.
  void restart(Connection fresh);
  /// Counts restart(): a session's own locks and settings are gone when it has changed.
  std::size_t generation() const { return generation_; }

  Connection& connection() { return connection_; }

 private:
  struct Flight {
    std::vector<Message> messages;
    FlightAnswer answer;
    std::size_t next = 0;  ///< the message whose result comes next; == size(): the Sync
  };

  void flush();
  void read_results();
  void receive(pg_result* result);
  void receive_result(Flight& flight, pg_result* result);
  void finish_flight();
  void begin();
  std::string awaited() const;
  [[noreturn]] void fail();

  Connection& connection_;
  std::deque<Flight> flights_;
  std::deque<FlightAnswer> complete_;
  ServerFields last_words_;
  bool wants_write_ = false;
  bool lost_ = false;
  std::size_t generation_ = 0;
};

}  // namespace tenantctl::pq
