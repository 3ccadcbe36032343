#include "rollout/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/number.h"
#include "migrate/version_table.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

constexpr auto reconnect_pause = 500ms;

// Another role's query and waits are only shown to members of pg_read_all_stats; the rest is for
// everybody. A backend that waits for its client says so also where its state is not tracked.
std::string watch_question() {
  return fmt::format(
      "SELECT a.pid, {}, a.application_name, "
      "a.wait_event_type IS DISTINCT FROM 'Client', "
      "pg_catalog.concat_ws(' ', a.wait_event_type, a.wait_event), "
      "pg_catalog.left(a.query, 200), {} "
      "FROM pg_catalog.pg_stat_activity a "
      "LEFT JOIN pg_catalog.pg_stat_activity b "
      "ON b.pid = (pg_catalog.pg_blocking_pids(a.pid))[1] "
      "WHERE a.pid = ANY ($1::pg_catalog.int4[]) "
      "OR a.application_name = ANY ($2::pg_catalog.text[])",
      started_column, blocker_columns);
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!is_space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

std::string key_of(const Backend& backend) {
  return fmt::format("{}/{}", backend.pid, backend.started);
}

// Numbers and names of our own making: nothing in them needs quoting.
void append(std::string& list, std::string_view element) {
  list.insert(list.size() - 1, (list.size() > 2 ? "," : "") + std::string(element));
}

}  // namespace

const char* const blocker_columns =
    "b.pid, b.usename, b.application_name, b.state, "
    "(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - "
    "COALESCE(b.xact_start, b.state_change)) * 1000)::pg_catalog.int8, "
    "pg_catalog.left(b.query, 200)";

Blocker blocker_from(const pq::Row& row, int first) {
  return {.pid = number_of<int>(row.text(first)),
          .user = std::string(row.text(first + 1)),
          .application = std::string(row.text(first + 2)),
          .state = std::string(row.text(first + 3)),
          .age = std::chrono::milliseconds(number_of<std::int64_t>(row.text(first + 4))),
          .query = one_line(row.text(first + 5))};
}

Watch::Watch(pq::Pipeline& control, Options options)
    : control_(control), options_(std::move(options)), generation_(control.generation()) {}

// Somebody else may have been the first to need the connection again.
void Watch::notice_restart() {
  if (generation_ == control_.generation()) {
    return;
  }
  generation_ = control_.generation();
  pending_.clear();
  connecting_.reset();
  lost_ = false;
  unreachable_since_.reset();
}

void Watch::ask(const std::vector<Subject>& subjects, pq::Deadline now) {
  if (subjects.empty() || is_asking()) {
    return;
  }
  std::string pids = "{}";
  std::string names = "{}";
  for (const Subject& subject : subjects) {
    if (subject.name.empty()) {
      append(pids, fmt::to_string(subject.backend.pid));
    } else {
      append(names, "\"" + subject.name + "\"");
    }
  }
  arriving_.clear();
  std::vector<pq::Message> messages = pq::question_settings(pq::login_role);
  messages.push_back({.sql = watch_question(),
                      .values = {pids, names},
                      .on_row = [this](const auto& row) { add(row); }});
  send(Pending::question, std::move(messages), now);
}

bool Watch::cancel(const std::vector<Subject>& subjects, pq::Deadline now) {
  notice_restart();
  if (lost_ || control_.is_lost()) {
    return false;
  }
  // Whoever wants it asks again until there is nothing left to cancel.
  if (is_asking()) {
    return true;
  }
  std::string pids = "{}";
  std::string starts = "{}";
  std::string names = "{}";
  for (const Subject& subject : subjects) {
    if (subject.name.empty()) {
      append(pids, fmt::to_string(subject.backend.pid));
      append(starts, fmt::to_string(subject.backend.started));
    } else {
      append(names, "\"" + subject.name + "\"");
    }
  }
  std::vector<pq::Message> messages = pq::question_settings(pq::login_role);
  messages.push_back(
      {.sql = fmt::format(
           "SELECT pg_catalog.pg_cancel_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
           "WHERE EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[]), "
           "pg_catalog.unnest($2::pg_catalog.int8[])) AS ours (pid, started) "
           "WHERE a.pid = ours.pid AND {} = ours.started) "
           "OR a.application_name = ANY ($3::pg_catalog.text[]) AND EXISTS (SELECT FROM "
           "pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' "
           "AND l.classid = {} AND l.granted)",
           started_column, VersionTable::lock_class),
       .values = {pids, starts, names}});
  return send(Pending::cancel, std::move(messages), now);
}

bool Watch::send(Pending what, std::vector<pq::Message> messages, pq::Deadline now) {
  notice_restart();
  if (lost_) {
    return false;
  }
  try {
    control_.send(std::move(messages));
  } catch (const pq::ConnectionLost&) {
    lose(now);
    return false;
  }
  pending_.push_back(what);
  asked_at_ = now;
  return true;
}

void Watch::add(const pq::Row& row) {
  Sight sight;
  sight.works = row.text(3) == "t";
  sight.wait = row.text(4);
  sight.statement = one_line(row.text(5));
  if (!row.is_null(6)) {
    sight.blocker = blocker_from(row, 6);
  }
  const Backend backend{.pid = number_of<int>(row.text(0)),
                        .started = number_of<std::int64_t>(row.text(1))};
  // A pooler's sessions keep the name that the last client gave them: the one that works is meant.
  Sight& named = arriving_[std::string(row.text(2))];
  if (sight.works || named.statement.empty()) {
    named = sight;
  }
  arriving_[key_of(backend)] = std::move(sight);
}

const Watch::Sight* Watch::sight(const Subject& subject) const {
  auto found = sights_.find(subject.name.empty() ? key_of(subject.backend) : subject.name);
  // When it started is not shown to every other role.
  if (found == sights_.end() && subject.name.empty()) {
    found = sights_.find(key_of({.pid = subject.backend.pid}));
  }
  return found == sights_.end() ? nullptr : &found->second;
}

int Watch::socket() const {
  if (connecting_) {
    return connecting_->socket();
  }
  return is_asking() && !control_.is_lost() ? control_.connection().socket() : -1;
}

bool Watch::wants_write() const {
  return connecting_ ? connecting_wants_write_ : control_.wants_write();
}

bool Watch::advance(pq::Deadline now, bool ready) {
  notice_restart();
  if (!lost_ && control_.is_lost()) {
    lose(now);
  }
  if (lost_) {
    connect(now, ready);
    return false;
  }
  bool answered = false;
  try {
    if (is_asking()) {
      control_.advance();
    }
    while (is_asking() && control_.take()) {
      answered = answered || pending_.front() == Pending::question;
      pending_.pop_front();
    }
  } catch (const pq::ConnectionLost&) {
    lose(now);
    return false;
  }
  if (is_asking() && now - asked_at_ >= options_.patience) {
    unreachable_since_ = unreachable_since_.value_or(now);
    lose(now);
  }
  if (answered) {
    sights_ = std::exchange(arriving_, {});
  }
  return answered;
}

void Watch::settle(pq::Deadline deadline) {
  while (is_asking()) {
    advance(pq::Clock::now(), true);
    if (is_asking() && !pq::wait_for(socket(), wants_write(), deadline)) {
      lose(pq::Clock::now());
    }
  }
}

void Watch::lose(pq::Deadline now) {
  pending_.clear();
  sights_.clear();
  control_.give_up();
  lost_ = true;
  deadline_ = now;
}

void Watch::connect(pq::Deadline now, bool ready) {
  if (!options_.reconnect || (!connecting_ && now < deadline_)) {
    return;
  }
  try {
    if (!connecting_) {
      connecting_ = pq::Connection::start(*options_.reconnect);
      connecting_wants_write_ = true;
      deadline_ = now + options_.reconnect->timeout;
    } else if (now >= deadline_) {
      connect_failed("", now);
    } else if (ready) {
      const auto progress = connecting_->advance();
      connecting_wants_write_ = progress == pq::Connection::Progress::writing;
      if (progress == pq::Connection::Progress::ready) {
        control_.restart(*std::exchange(connecting_, std::nullopt));
        notice_restart();
      }
    }
  } catch (const pq::ConnectFailed& error) {
    connect_failed(error.sqlstate(), now);
  } catch (const pq::ConnectionLost&) {
    connect_failed("", now);
  }
}

// A server that says why is there: that no slot is free says nothing about our sessions.
void Watch::connect_failed(const std::string& sqlstate, pq::Deadline now) {
  connecting_.reset();
  deadline_ = now + reconnect_pause;
  if (sqlstate.empty()) {
    unreachable_since_ = unreachable_since_.value_or(now);
  } else {
    unreachable_since_.reset();
  }
}

}  // namespace tenantctl
