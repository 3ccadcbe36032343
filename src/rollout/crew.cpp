#include "rollout/crew.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// A schema that takes longer than this is looked at from outside, as often.
constexpr auto look_interval = 300ms;

short events(bool wants_write) {
  return static_cast<short>(wants_write ? POLLIN | POLLOUT : POLLIN);
}

}  // namespace

Crew::Crew(const RolloutOptions& options, Observer& observer, pq::Pipeline& control)
    : options_(options),
      observer_(observer),
      watch_(control, {.reconnect = options.control,
                       .patience = std::min<std::chrono::milliseconds>(10s, options.silence)}) {}

void Crew::hire(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Worker::Options options = options_.worker;
    // What tells them apart where a pooler hides their backends.
    if (options_.via_pooler) {
      options.connect.application_name += fmt::format("/{}", i + 1);
    }
    workers_.push_back(std::make_unique<Worker>(std::move(options)));
  }
}

std::size_t Crew::busy() const {
  return static_cast<std::size_t>(std::count_if(
      workers_.begin(), workers_.end(), [](const auto& worker) { return worker->is_busy(); }));
}

std::size_t Crew::busy_beside(const Worker& worker) const {
  return busy() - (worker.is_busy() ? 1 : 0);
}

std::size_t Crew::unused() const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
        return worker->site() == 0 && !worker->has_errand() &&
               (worker->is_connecting() ||
                (worker->state() == Worker::State::ready && !worker->is_busy()));
      }));
}

bool Crew::is_retired() const {
  return !workers_.empty() && std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->state() == Worker::State::retired;
  });
}

// The last half of those that there are: one alone is none.
bool Crew::is_slow_lane(const Worker& worker) const {
  std::size_t before = 0;
  std::size_t all = 0;
  for (const auto& other : workers_) {
    before = other.get() == &worker ? all : before;
    all += other->state() == Worker::State::retired ? 0 : 1;
  }
  return before >= all - all / 2;
}

void Crew::limit_depth(std::size_t most) {
  for (const auto& worker : workers_) {
    worker->limit_depth(most);
  }
}

pq::Deadline Crew::wait(pq::Deadline now, pq::Deadline until, bool connects) {
  std::vector<pollfd> entries;
  for (const auto& worker : workers_) {
    entries.push_back(
        {.fd = worker->socket(), .events = events(worker->wants_write()), .revents = 0});
    const bool is_to_connect = worker->state() == Worker::State::idle &&
                               (worker->has_errand() || (connects && worker->site() == 0));
    if (is_to_connect || worker->is_connecting()) {
      until = std::min(until, std::max(worker->deadline(), now + 1ms));
    }
  }
  entries.push_back({.fd = watch_.socket(), .events = events(watch_.wants_write()), .revents = 0});
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  ::poll(entries.data(), entries.size(), static_cast<int>(left));
  const pq::Deadline later = pq::Clock::now();
  // Also where nothing arrived: its answer may have been read by somebody who waited for their own.
  if (watch_.advance(later, entries.back().revents != 0)) {
    look(later);
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const bool overdue = workers_[i]->is_connecting() && later >= workers_[i]->deadline();
    if (entries[i].revents != 0 || overdue) {
      workers_[i]->advance(later);
      note_server(*workers_[i]);
    }
  }
  if (later - last_look_ >= look_interval) {
    last_look_ = later;
    ask_watch(later);
  }
  return later;
}

bool Crew::is_watched(const Worker& worker) const {
  return worker.site() == 0 || options_.sites[worker.site() - 1].site.cluster.empty();
}

Watch::Subject Crew::subject_of(const Worker& worker) const {
  return {.backend = worker.backend(),
          .name = options_.via_pooler ? worker.application_name() : std::string()};
}

void Crew::ask_watch(pq::Deadline now) {
  std::vector<Watch::Subject> subjects;
  for (const auto& worker : workers_) {
    const bool is_known = options_.via_pooler || worker->backend().is_known();
    if (is_known && is_watched(*worker) && worker->current() != nullptr &&
        now - worker->current_since() >= look_interval) {
      subjects.push_back(subject_of(*worker));
    }
  }
  watch_.ask(subjects, now);
}

// What was seen belongs to the schema that is at the server now.
void Crew::look(pq::Deadline now) {
  for (const auto& worker : workers_) {
    Job* job = worker->current();
    if (job == nullptr || !is_watched(*worker) ||
        now - worker->current_since() < 2 * look_interval) {
      continue;
    }
    const Watch::Sight* sight = watch_.sight(subject_of(*worker));
    worker->observe(sight != nullptr && sight->works, now);
    if (sight != nullptr && sight->blocker) {
      job->saw(*sight->blocker);
    }
  }
}

// After a fail-over to a standby that lagged, what was confirmed before may be missing.
void Crew::note_server(const Worker& worker) {
  const std::string& cluster =
      worker.site() == 0 ? std::string() : options_.sites[worker.site() - 1].site.cluster;
  std::string& server = servers_[cluster];
  if (worker.server().empty() || worker.server() == server) {
    return;
  }
  if (!server.empty()) {
    observer_.warned(
        fmt::format("the server is another one now ({}, before {}): schemas that were done may "
                    "stand further back there; check tells",
                    worker.server(), server));
  }
  server = worker.server();
}

// By pid and start over the control connection, which is there already; otherwise by libpq's own
// way, which has to connect first.
void Crew::cancel(pq::Deadline now, pq::Deadline signalled_at) {
  std::vector<Backend> backends;
  std::vector<Worker*> others;
  for (const auto& worker : workers_) {
    if (!worker->is_cancellable()) {
      continue;
    }
    if (worker->backend().is_known() && is_watched(*worker)) {
      backends.push_back(worker->backend());
    }
    others.push_back(worker.get());
  }
  // Where it does no good, another role's backend say, the other way is tried as well.
  const bool is_new = now - signalled_at < 2s;
  const bool is_sent = backends.size() == others.size() && watch_.cancel(backends, now);
  if (others.empty() || (is_sent && is_new)) {
    return;
  }
  if (options_.via_pooler) {
    cancel_one(others);
    return;
  }
  for (Worker* worker : others) {
    worker->cancel();
  }
}

// PgBouncer 1.18 ends, for everybody, when two cancels meet (its issue 801). In turn, so that one
// that does not heed it keeps no other from it.
void Crew::cancel_one(const std::vector<Worker*>& others) {
  const bool is_under_way = std::any_of(workers_.begin(), workers_.end(),
                                        [](const auto& worker) { return worker->is_cancelling(); });
  if (!is_under_way) {
    others[cancels_++ % others.size()]->cancel();
  }
}

// A peer that says nothing may work for hours, or never come back: the server knows, if we can ask
// it. What is given up here is settled by reading.
void Crew::drop_silent(pq::Deadline now, std::optional<pq::Deadline> signalled_at) {
  for (const auto& worker : workers_) {
    if (worker->current() == nullptr) {
      continue;
    }
    const std::string why = silence_of(*worker, now, signalled_at);
    if (!why.empty()) {
      worker->drop("the connection was given up: " + why, now);
    }
  }
}

std::string Crew::silence_of(const Worker& worker, pq::Deadline now,
                             std::optional<pq::Deadline> signalled_at) const {
  const auto blind_since = is_watched(worker) ? watch_.unreachable_since() : std::nullopt;
  const auto silence = options_.via_pooler ? options_.silence * 5 : options_.silence;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence).count();
  const pq::Deadline quiet_since = std::max(worker.heard_at(), worker.current_since());
  const auto stuck_since = worker.stuck_since();
  if (stuck_since && now - *stuck_since >= silence) {
    return fmt::format(
        "the server waits for us, or has ended the session, and nothing came of it for {} s",
        seconds);
  }
  if (blind_since && now - std::max(*blind_since, quiet_since) >= silence) {
    return fmt::format("the server says nothing and takes no connection for {} s", seconds);
  }
  if (signalled_at && now - std::max(*signalled_at, quiet_since) >= options_.drain &&
      !worker.current()->is_unsettled()) {
    return "no answer to the cancel";
  }
  return "";
}

void Crew::close_all(pq::Deadline now) {
  for (const auto& worker : workers_) {
    // What only reads, to settle a doubt, goes on.
    const Job* job = worker->current();
    if (job != nullptr && !job->is_unsettled()) {
      worker->drop("closed by a second signal", now);
    }
  }
}

std::vector<Activity> Crew::activities(pq::Deadline now) const {
  std::vector<Activity> activities;
  for (const auto& worker : workers_) {
    const Job* job = worker->current();
    if (job == nullptr) {
      continue;
    }
    Activity activity;
    activity.schema = job->schema();
    activity.duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - job->started_at());
    const Watch::Sight* sight = watch_.sight(subject_of(*worker));
    if (sight != nullptr && now - worker->current_since() >= look_interval) {
      activity.statement = sight->statement;
      activity.wait = sight->wait;
      activity.blocker = sight->blocker;
    }
    activities.push_back(std::move(activity));
  }
  std::sort(activities.begin(), activities.end(),
            [](const Activity& a, const Activity& b) { return a.duration > b.duration; });
  return activities;
}

}  // namespace tenantctl
