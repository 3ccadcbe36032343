#include "pq/stop_point.h"

#ifdef TENANTCTL_FAULTS

#include <fmt/format.h>
#include <libpq-fe.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "pq/connection.h"

namespace tenantctl::pq {
namespace {

using namespace std::chrono_literals;

std::string_view name_of(StopPoint point) {
  static constexpr std::array<std::string_view, 40> names{
      "run-connected",    "session-set-up",   "run-planned",        "ledger-begun",
      "ledger-due",       "ledger-ended",     "segment-due",        "after-begin",
      "after-install",    "after-entry",      "after-settings",     "after-place",
      "after-guard",      "after-statement",  "after-reset",        "after-close",
      "after-row",        "after-mark",       "after-commit",       "after-unlock",
      "segment-sent",     "segment-answered", "outside-lock",       "outside-step",
      "outside-row",      "outside-running",  "outside-inspection", "outside-statement",
      "outside-answered", "outside-progress", "outside-applied",    "outside-release",
      "move-begun",       "move-closed",      "move-copied",        "move-half",
      "move-committed",   "move-confirming",  "move-undoing",       "move-emptied"};
  return names.at(static_cast<std::size_t>(point));
}

struct Armed {
  std::string point;
  std::string schema;
  int hits_left = 1;
  std::string door;
};

std::optional<Armed> read_environment() {
  const char* value = std::getenv("TENANTCTL_FAULT");
  if (value == nullptr) {
    return std::nullopt;
  }
  std::string_view rest = value;
  const auto next = [&rest] {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string word(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
  };
  Armed armed;
  armed.point = next();
  armed.schema = next();
  armed.hits_left = std::stoi(next());
  armed.door = rest;
  return armed;
}

struct Flight {
  std::string schema;
  std::vector<StopPoint> behind;
};

Flight& announced() {
  static Flight flight;
  return flight;
}

std::optional<Armed>& armed() {
  static std::optional<Armed> value = read_environment();
  return value;
}

bool is_due(StopPoint point, std::string_view schema) {
  std::optional<Armed>& trap = armed();
  const bool meant = trap && (trap->point == "*" || trap->point == name_of(point)) &&
                     (trap->schema.empty() || trap->schema == schema);
  return meant && --trap->hits_left == 0;
}

std::string ask(const std::string& door, const std::string& line) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  door.copy(static_cast<char*>(address.sun_path), sizeof(address.sun_path) - 1);
  std::string answer;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): so is the interface
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      ::write(socket, line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
    char c = 0;
    while (::read(socket, &c, 1) == 1 && c != '\n') {
      answer += c;
    }
  }
  ::close(socket);
  return answer;
}

void stop(StopPoint point, std::string_view schema, const Connection* connection) {
  const std::string answer =
      ask(armed()->door, fmt::format("{} {} {}\n", name_of(point), schema.empty() ? "-" : schema,
                                     connection ? connection->backend_pid() : 0));
  if (answer == "kill") {
    std::raise(SIGKILL);
  } else if (answer == "term") {
    std::raise(SIGTERM);
  } else if (answer.starts_with("until ")) {
    armed()->point = answer.substr(answer.find(' ') + 1);
    armed()->hits_left = 1;
  } else if (answer == "cut" && connection != nullptr) {
    ::shutdown(connection->socket(), SHUT_RDWR);
  }
}

// Until the server has taken everything off the socket; what it does with it the other side of the
// door sees for itself.
void hand_over(const Connection& connection) {
  const Deadline until = Clock::now() + 5s;
  while (Clock::now() < until && PQflush(connection.handle()) == 1) {
    wait_for(connection.socket(), true, until);
    PQconsumeInput(connection.handle());
  }
  int unread = 1;
  while (Clock::now() < until && ::ioctl(connection.socket(), SIOCOUTQ, &unread) == 0 &&
         unread > 0) {
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace

void stop_point(StopPoint point, std::string_view schema, const Connection* connection) {
  if (is_due(point, schema)) {
    stop(point, schema, connection);
  }
}

void announce_points(std::string schema, std::vector<StopPoint> behind) {
  announced() = {.schema = std::move(schema), .behind = std::move(behind)};
}

void stop_before_flight(const Connection& connection) {
  if (!announced().behind.empty()) {
    stop_point(StopPoint::segment_due, announced().schema, &connection);
  }
}

void stop_behind_message(std::size_t message, const Connection& connection) {
  const Flight& flight = announced();
  if (message < flight.behind.size() && is_due(flight.behind[message], flight.schema)) {
    hand_over(connection);
    stop(flight.behind[message], flight.schema, &connection);
  }
}

void stop_behind_flight(const Connection& connection) {
  const Flight flight = std::exchange(announced(), {});
  if (!flight.behind.empty() && is_due(StopPoint::segment_sent, flight.schema)) {
    hand_over(connection);
    stop(StopPoint::segment_sent, flight.schema, &connection);
  }
}

bool is_off(Protection protection) {
  static const std::string off = [] {
    const char* value = std::getenv("TENANTCTL_BREAK");
    return std::string(value == nullptr ? "" : value);
  }();
  switch (protection) {
    case Protection::lock:
      return off == "lock";
    case Protection::guard:
      return off == "guard";
    case Protection::first_token:
      return off == "first-token" || off == "guard";
    case Protection::order:
      return off == "order";
    case Protection::fresh_read:
      return off == "fresh-read";
    case Protection::slow_lane:
      return off == "slow-lane";
  }
  return false;
}

}  // namespace tenantctl::pq

#endif
