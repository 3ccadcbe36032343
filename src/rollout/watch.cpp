#include "rollout/watch.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace tenantctl {
namespace {

// Another role's query is only shown to members of pg_read_all_stats; the rest is for everybody.
constexpr std::string_view question =
    "SELECT a.pid, pg_catalog.concat_ws(' ', a.wait_event_type, a.wait_event), "
    "pg_catalog.left(a.query, 200), b.pid, b.usename, b.application_name, b.state, "
    "(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.xact_start) * 1000)::pg_catalog.int8, "
    "pg_catalog.left(b.query, 200) "
    "FROM pg_catalog.pg_stat_activity a "
    "LEFT JOIN pg_catalog.pg_stat_activity b "
    "ON b.pid = (pg_catalog.pg_blocking_pids(a.pid))[1] "
    "WHERE a.pid = ANY ($1::pg_catalog.int4[])";

std::int64_t number_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
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

}  // namespace

void Watch::ask(const std::vector<int>& pids) {
  if (asking_ || lost_ || pids.empty()) {
    return;
  }
  std::string list = "{";
  for (const int pid : pids) {
    list += (list.size() > 1 ? "," : "") + std::to_string(pid);
  }
  arriving_.clear();
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::string(question),
                      .values = {list + "}"},
                      .on_row = [this](const pq::Row& row) { add(row); }});
  try {
    control_.send(std::move(messages));
    asking_ = true;
  } catch (const pq::ConnectionLost&) {
    give_up();
  }
}

void Watch::add(const pq::Row& row) {
  Sight sight;
  sight.wait = row.text(1);
  sight.statement = one_line(row.text(2));
  if (!row.is_null(3)) {
    sight.blocker = Blocker{.pid = static_cast<int>(number_of(row.text(3))),
                            .user = std::string(row.text(4)),
                            .application = std::string(row.text(5)),
                            .state = std::string(row.text(6)),
                            .age = std::chrono::milliseconds(number_of(row.text(7))),
                            .query = one_line(row.text(8))};
  }
  arriving_[static_cast<int>(number_of(row.text(0)))] = std::move(sight);
}

bool Watch::advance() {
  if (!asking_) {
    return false;
  }
  try {
    control_.advance();
    if (!control_.take()) {
      return false;
    }
  } catch (const pq::ConnectionLost&) {
    give_up();
    return false;
  }
  asking_ = false;
  sights_ = std::exchange(arriving_, {});
  return true;
}

void Watch::settle(pq::Deadline deadline) {
  while (asking_ && !advance()) {
    if (!asking_ || !pq::wait_for(socket(), wants_write(), deadline)) {
      give_up();
    }
  }
}

void Watch::give_up() {
  asking_ = false;
  lost_ = true;
  sights_.clear();
}

}  // namespace tenantctl
