#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "rollout/backend.h"
#include "rollout/observer.h"

namespace tenantctl {

/// Looks at our own backends from outside while they take their time: what runs, what it waits for,
/// and who is in its way (pg_stat_activity, pg_blocking_pids); and cancels what they run. All of it
/// over the control connection and never waited for. A control connection that is lost is made
/// anew while the run goes on.
class Watch {
 public:
  /// A session of ours: by its backend, or, where a pooler hides that, by its application_name.
  struct Subject {
    Backend backend;
    std::string name;
  };

  /// What one backend is at.
  struct Sight {
    std::string statement;
    std::string wait;
    std::optional<Blocker> blocker;
    bool works = true;  ///< it does not wait for its client
  };

  struct Options {
    std::optional<pq::ConnectOptions> reconnect;  ///< where `control` leads
    std::chrono::milliseconds patience{10'000};   ///< with an answer
  };

  /// The pipeline must outlive it. Others may use it between calls.
  Watch(pq::Pipeline& control, Options options);

  bool is_asking() const { return !pending_.empty(); }
  /// Asks about these, unless a question is under way or the connection is lost.
  void ask(const std::vector<Subject>& subjects, pq::Deadline now);
  /// Asks the server to cancel what these run; false if there is no connection to say it over. A
  /// backend behind a pooler counts while it holds a schema's lock: a name alone may have stayed
  /// with it when it went to somebody else.
  bool cancel(const std::vector<Subject>& subjects, pq::Deadline now);

  int socket() const;
  bool wants_write() const;
  /// Takes what has arrived, and connects again; `ready`: the socket is ready. True when the answer
  /// to a question is complete.
  bool advance(pq::Deadline now, bool ready);
  /// Waits for the answers to what was asked, so that the connection is free for something else.
  void settle(pq::Deadline deadline);

  /// Of the last answer; nullptr if the server has no such backend of ours.
  const Sight* sight(const Subject& subject) const;
  /// The server has neither answered nor taken a connection since: nobody can say what it does.
  std::optional<pq::Deadline> unreachable_since() const { return unreachable_since_; }

 private:
  enum class Pending { question, cancel };

  void notice_restart();
  bool send(Pending what, std::vector<pq::Message> messages, pq::Deadline now);
  void add(const pq::Row& row);
  void lose(pq::Deadline now);
  void connect(pq::Deadline now, bool ready);
  void connect_failed(const std::string& sqlstate, pq::Deadline now);

  pq::Pipeline& control_;
  Options options_;
  std::size_t generation_;
  std::deque<Pending> pending_;  ///< answered in this order
  pq::Deadline asked_at_{};      ///< the newest of them
  bool lost_ = false;
  std::optional<pq::Connection> connecting_;
  bool connecting_wants_write_ = false;
  pq::Deadline deadline_{};  ///< of connecting, or of the next try
  std::optional<pq::Deadline> unreachable_since_;
  std::map<std::string, Sight> arriving_;
  std::map<std::string, Sight> sights_;  ///< by key_of()
};

/// Columns of the row `b` of pg_stat_activity that blocker_from() takes.
extern const char* const blocker_columns;
Blocker blocker_from(const pq::Row& row, int first);

}  // namespace tenantctl
