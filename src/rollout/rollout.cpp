#include "rollout/rollout.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "pq/stop_point.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// A signal that arrives between a look at its flag and poll() is seen this much later.
constexpr auto longest_poll = 200ms;
// A schema that takes longer than this is looked at from outside, as often.
constexpr auto look_interval = 300ms;
constexpr auto long_time = 1s;

// The slowest standby's delay; NULL while none says anything. Others than members of
// pg_read_all_stats see of a standby only that it is there.
constexpr const char* lag_question =
    "SELECT pg_catalog.max((EXTRACT(epoch FROM r.replay_lag) * 1000)::pg_catalog.int8), "
    "pg_catalog.count(*) FILTER (WHERE r.state IS NULL) > 0 "
    "FROM pg_catalog.pg_stat_replication r";

}  // namespace

Rollout::Rollout(const RolloutOptions& options, const Replan& replan, Observer& observer,
                 pq::Pipeline& control, const std::atomic<int>& signals)
    : options_(options),
      replan_(replan),
      observer_(observer),
      control_(control),
      signals_(signals),
      watch_(control, {.reconnect = options.control,
                       .patience = std::min<std::chrono::milliseconds>(10s, options.silence)}) {}

Report Rollout::run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks) {
  groups_ = &groups;
  tasks_ = &tasks;
  begin_ = pq::Clock::now();
  report_.schemas.reserve(tasks.size());
  plan_work(groups, tasks);
  make_workers();
  observer_.started(progress());
  for (const Task& task : tasks) {
    if (groups[task.group].plan.empty()) {
      report_unstarted(task, Result::unchanged, "");
    }
  }
  start_wave(begin_);
  while (report_.schemas.size() < tasks.size()) {
    const pq::Deadline now = pq::Clock::now();
    heed_signals(now);
    drop_silent(now);
    check_budgets(now);
    assign(now);
    if (out_of_workers()) {
      end_waiting(Result::not_started, workers_.front()->why(), now);
      break;
    }
    if (report_.schemas.size() >= tasks.size()) {
      break;
    }
    wait(now);
    end_wave(now);
  }
  drain();
  watch_.settle(pq::Clock::now() + 2s);
  report_.interrupted = signals_.load() > 0;
  report_.duration =
      std::chrono::duration_cast<std::chrono::milliseconds>(pq::Clock::now() - begin_);
  observer_.ended(report_);
  return std::move(report_);
}

// Canaries first, then by name. A revision that must run in one schema at a time comes last, so
// that it keeps nobody else waiting.
void Rollout::plan_work(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks) {
  const auto& canaries = options_.waves.canaries;
  for (const std::string& canary : canaries) {
    const bool is_task = std::any_of(tasks.begin(), tasks.end(),
                                     [&](const Task& task) { return task.schema == canary; });
    if (!is_task) {
      throw UsageError(fmt::format("the canary {} is not among the selected schemas", canary),
                       "Name one that is, or a number of schemas.");
    }
  }
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    if (!groups[tasks[i].group].plan.empty()) {
      to_do_.push_back(i);
    }
  }
  const auto first_other =
      std::stable_partition(to_do_.begin(), to_do_.end(), [&](std::uint32_t i) {
        return std::find(canaries.begin(), canaries.end(), tasks[i].schema) != canaries.end();
      });
  const auto is_serial = [&](std::uint32_t i) { return groups[tasks[i].group].plan.is_serial(); };
  std::stable_partition(first_other, to_do_.end(), [&](std::uint32_t i) { return !is_serial(i); });
  wave_ends_ = wave_ends(options_.waves, to_do_.size(),
                         static_cast<std::size_t>(first_other - to_do_.begin()));
  takes_long_.resize(groups.size());
  is_counted_.resize(groups.size(), !options_.room);
  most_at_once_ = options_.jobs;
  const bool may_fill =
      options_.room && std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
        return may_fill_locks(*options_.room, group.plan, options_.jobs);
      });
  if (may_fill) {
    most_at_once_ = 1;
  }
}

bool Rollout::has_lock_room(const Worker& worker) const {
  const auto busy = std::count_if(workers_.begin(), workers_.end(), [&worker](const auto& other) {
    return other.get() != &worker && other->is_busy();
  });
  return static_cast<std::size_t>(busy) < most_at_once_;
}

// By what a schema was seen to take. Told only where it means fewer connections than asked for.
void Rollout::limit_for_locks() {
  if (!options_.room || most_locks_ == 0 || most_locks_ == told_locks_) {
    return;
  }
  most_at_once_ = std::min(jobs_for_locks(*options_.room, most_locks_), options_.jobs);
  if (most_at_once_ < std::min(options_.jobs, to_do_.size())) {
    told_locks_ = most_locks_;
    observer_.warned(locks_text(*options_.room, most_locks_, most_at_once_));
  }
}

// The server's lock table is full although others of ours are at work: with fewer of them there may
// be room. Alone, there is nothing left to give up.
bool Rollout::make_room() {
  const auto busy = static_cast<std::size_t>(std::count_if(
      workers_.begin(), workers_.end(), [](const auto& worker) { return worker->is_busy(); }));
  if (busy <= 1 && most_at_once_ <= 1) {
    return false;
  }
  const std::size_t before = std::min(std::max<std::size_t>(busy, 1), most_at_once_);
  if (most_at_once_ == 1) {
    return true;
  }
  most_at_once_ = std::max<std::size_t>(1, before / 2);
  observer_.warned(fmt::format("the server's lock table is full: {} at a time from now on",
                               counted(most_at_once_, "schema")));
  return true;
}

void Rollout::make_workers() {
  for (std::size_t i = 0; i < std::min(options_.jobs, to_do_.size()); ++i) {
    Worker::Options options = options_.worker;
    // What tells them apart where a pooler hides their backends.
    if (options_.via_pooler) {
      options.connect.application_name += fmt::format("/{}", i + 1);
    }
    workers_.push_back(std::make_unique<Worker>(std::move(options)));
  }
}

bool Rollout::is_idle() const {
  return std::none_of(workers_.begin(), workers_.end(),
                      [](const auto& worker) { return worker->is_busy(); });
}

void Rollout::start_wave(pq::Deadline now) {
  wave_begin_problems_ = problems_;
  wave_begin_lock_waits_ = lock_waits_;
  const bool is_canary = wave_ends_.size() > 1 && wave_ == 0;
  for (const auto& worker : workers_) {
    worker->limit_depth(is_canary ? 1 : options_.worker.depth);
  }
  if (wave_ends_.size() > 1) {
    const std::size_t begin = wave_ == 0 ? 0 : wave_ends_[wave_ - 1];
    observer_.wave_started(progress(), wave_ends_[wave_] - begin);
    pause_until_ = wave_ == 0 ? now : now + options_.waves.pause;
  }
}

// Over only when nothing of it is left: what waits for a lock belongs to it.
void Rollout::end_wave(pq::Deadline now) {
  const bool is_over = next_ < to_do_.size() && next_ == wave_ends_[wave_] && jobs_.empty();
  if (!is_over || !may_begin()) {
    return;
  }
  check_budgets(now);
  if (options_.budgets.replica_lag) {
    check_replica_lag(now);
  }
  if (!may_begin()) {
    return;
  }
  const std::size_t schemas = wave_ends_[wave_ + 1] - wave_ends_[wave_];
  if (options_.waves.confirm && !options_.waves.confirm(wave_ + 2, schemas)) {
    stop(fmt::format("wave {} was not confirmed", wave_ + 2));
    return;
  }
  ++wave_;
  start_wave(pq::Clock::now());
}

void Rollout::stop(const std::string& why) {
  if (report_.stopped_by.empty()) {
    report_.stopped_by = why;
  }
}

void Rollout::check_budgets(pq::Deadline now) {
  if (!may_begin() || to_do_.empty()) {
    return;
  }
  const Budgets& budgets = options_.budgets;
  const std::size_t begin = wave_ == 0 ? 0 : wave_ends_[wave_ - 1];
  const std::size_t problems = problems_ - wave_begin_problems_;
  const std::size_t lock_waits = lock_waits_ - wave_begin_lock_waits_;
  const bool is_canary = wave_ == 0 && wave_ends_.size() > 1;
  const auto failures = is_canary ? budgets.failures.value_or(Amount{}) : budgets.failures;
  if (failures && problems > failures->at_most(wave_ends_[wave_] - begin)) {
    stop(fmt::format("{} {} of {} failed{}", problems, problems == 1 ? "schema" : "schemas",
                     wave_ends_.size() > 1 ? fmt::format("wave {}", wave_ + 1) : "the run",
                     budgets.failures ? ", more than --max-failures allows" : ""));
  } else if (budgets.lock_waits && lock_waits > *budgets.lock_waits) {
    stop(fmt::format("{} met a lock, more than --max-lock-waits allows",
                     lock_waits == 1 ? "1 try" : fmt::format("{} tries", lock_waits)));
  } else if (budgets.duration && now - begin_ > *budgets.duration) {
    stop("the run takes longer than --max-duration allows");
  } else if (budgets.replica_lag && now - last_lag_check_ > 1s) {
    check_replica_lag(now);
  }
}

void Rollout::check_replica_lag(pq::Deadline now) {
  last_lag_check_ = now;
  std::chrono::milliseconds lag{0};
  std::vector<pq::Message> messages = pq::question_settings();
  bool is_hidden = false;
  messages.push_back({.sql = lag_question, .on_row = [&](const pq::Row& row) {
                        is_hidden = row.text(1) == "t";
                        const std::string text(row.text(0));
                        lag = std::chrono::milliseconds(text.empty() ? 0 : std::stoll(text));
                      }});
  watch_.settle(now + 2s);
  try {
    const pq::FlightAnswer answer = control_.wait_for_answer(std::move(messages), now + 2s);
    if (const pq::Answer* failure = answer.failure()) {
      stop("the standbys' delay cannot be read: " + failure->error->message);
    }
  } catch (const pq::ConnectionLost& error) {
    stop(fmt::format("the standbys' delay cannot be read: {}", error.what()));
  }
  if (is_hidden) {
    stop("the standbys' delay cannot be read: the role is no member of pg_read_all_stats");
  }
  if (lag > *options_.budgets.replica_lag) {
    stop(fmt::format("a standby is {} ms behind, more than --max-replica-lag allows", lag.count()));
  }
}

// A session closed with an unread answer, or while it begins, puts a FATAL line into the server's
// log.
void Rollout::drain() {
  const pq::Deadline until = pq::Clock::now() + 5s;
  for (pq::Deadline now = pq::Clock::now(); now < until; now = pq::Clock::now()) {
    if (is_idle()) {
      return;
    }
    wait(now);
  }
}

void Rollout::heed_signals(pq::Deadline now) {
  const int signals = signals_.load();
  if (signals > 0 && !signalled_at_) {
    signalled_at_ = now;
  }
  if (signals > 0 && now - last_cancel_ >= 100ms) {
    last_cancel_ = now;
    for (const auto& job : jobs_) {
      job->interrupt();
    }
    cancel_running(now);
  }
  // Once for each signal: the connections that settle what was in flight come behind it.
  if (signals > 1 && signals > closed_for_) {
    closed_for_ = signals;
    close_all(now);
  }
  if (!may_begin() && is_idle()) {
    give_up_waiting(signals > 0 ? Result::interrupted : Result::not_started, now);
  }
}

void Rollout::close_all(pq::Deadline now) {
  for (const auto& worker : workers_) {
    // What only reads, to settle a doubt, goes on.
    const Job* job = worker->current();
    if (job != nullptr && !job->is_unsettled()) {
      worker->drop("closed by a second signal", now);
    }
    collect(*worker, now);
  }
}

// What is in doubt is still settled: reading begins no work.
void Rollout::give_up_waiting(Result result, pq::Deadline now) {
  std::vector<Job*> doubtful;
  for (Job* job : std::exchange(waiting_, {})) {
    if (job->is_unsettled()) {
      doubtful.push_back(job);
      continue;
    }
    job->give_up(result, report_.stopped_by);
    finish(job, now);
  }
  waiting_ = std::move(doubtful);
  if (waiting_.empty()) {
    end_waiting(Result::not_started, report_.stopped_by, now);
  }
}

// By pid and start over the control connection, which is there already; otherwise by libpq's own
// way, which has to connect first.
void Rollout::cancel_running(pq::Deadline now) {
  std::vector<Backend> backends;
  std::vector<Worker*> others;
  for (const auto& worker : workers_) {
    if (!worker->is_cancellable()) {
      continue;
    }
    if (worker->backend().is_known()) {
      backends.push_back(worker->backend());
    }
    others.push_back(worker.get());
  }
  // Where it does no good, another role's backend say, the other way is tried as well.
  const bool is_new = now - signalled_at_.value_or(now) < 2s;
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
void Rollout::cancel_one(const std::vector<Worker*>& others) {
  const bool is_under_way = std::any_of(workers_.begin(), workers_.end(),
                                        [](const auto& worker) { return worker->is_cancelling(); });
  if (!is_under_way) {
    others[cancels_++ % others.size()]->cancel();
  }
}

// A peer that says nothing may work for hours, or never come back: the server knows, if we can ask
// it. What is given up here is settled by reading.
void Rollout::drop_silent(pq::Deadline now) {
  const auto blind_since = watch_.unreachable_since();
  const auto silence = options_.via_pooler ? options_.silence * 5 : options_.silence;
  for (const auto& worker : workers_) {
    if (worker->current() == nullptr) {
      continue;
    }
    const pq::Deadline quiet_since = std::max(worker->heard_at(), worker->current_since());
    const auto stuck_since = worker->stuck_since();
    std::string why;
    if (stuck_since && now - *stuck_since >= silence) {
      why = fmt::format(
          "the server waits for us, or has ended the session, and nothing came of it "
          "for {} s",
          std::chrono::duration_cast<std::chrono::seconds>(silence).count());
    } else if (blind_since && now - std::max(*blind_since, quiet_since) >= silence) {
      why = fmt::format("the server says nothing and takes no connection for {} s",
                        std::chrono::duration_cast<std::chrono::seconds>(silence).count());
    } else if (signalled_at_ && now - std::max(*signalled_at_, quiet_since) >= options_.drain &&
               !worker->current()->is_unsettled()) {
      why = "no answer to the cancel";
    }
    if (!why.empty()) {
      worker->drop("the connection was given up: " + why, now);
      collect(*worker, now);
    }
  }
}

// After a fail-over to a standby that lagged, what was confirmed before may be missing.
void Rollout::note_server(const Worker& worker) {
  if (worker.server().empty() || worker.server() == server_) {
    return;
  }
  if (!server_.empty()) {
    observer_.warned(
        fmt::format("the server is another one now ({}, before {}): schemas that were done may "
                    "stand further back there; check tells",
                    worker.server(), server_));
  }
  server_ = worker.server();
}

void Rollout::assign(pq::Deadline now) {
  for (const auto& worker : workers_) {
    worker->continue_holder(may_begin(), now);
    if (needs_another()) {
      worker->connect(now);
    }
    while (worker->can_take()) {
      Job* job = next_job(*worker, now);
      if (job == nullptr) {
        break;
      }
      worker->take(*job, now);
    }
    collect(*worker, now);
  }
}

bool Rollout::needs_another() const {
  const auto unused = std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->is_connecting() ||
           (worker->state() == Worker::State::ready && !worker->is_busy());
  });
  return static_cast<std::size_t>(unused) < wave_ends_[wave_] - next_ + waiting_.size();
}

// The last half of those that there are: one alone is none.
bool Rollout::is_slow_lane(const Worker& worker) const {
  std::size_t before = 0;
  std::size_t all = 0;
  for (const auto& other : workers_) {
    before = other.get() == &worker ? all : before;
    all += other->state() == Worker::State::retired ? 0 : 1;
  }
  return before >= all - all / 2;
}

// A schema that met a lock may wait as long again. Half of the connections leave what they have for
// it, the others take it when there is nothing else.
Job* Rollout::next_job(const Worker& worker, pq::Deadline now) {
  if (!has_lock_room(worker)) {
    return nullptr;
  }
  if (is_slow_lane(worker) && is_slow_due(now)) {
    return next_waiting(worker, Pace::slow, now);
  }
  Job* job = next_waiting(worker, Pace::ordinary, now);
  if (job == nullptr) {
    job = next_new(worker);
  }
  return job != nullptr ? job : next_waiting(worker, Pace::slow, now);
}

bool Rollout::is_due(const Job& job, Pace pace, pq::Deadline now) const {
  const bool has_pace = pq::is_off(pq::Protection::slow_lane)
                            ? pace == Pace::ordinary
                            : job.is_slow() == (pace == Pace::slow);
  return has_pace && (job.state() == Job::State::ready || job.ready_at() <= now) &&
         (may_begin() || job.is_unsettled());
}

bool Rollout::is_slow_due(pq::Deadline now) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Job* job) { return is_due(*job, Pace::slow, now); });
}

Job* Rollout::next_waiting(const Worker& worker, Pace pace, pq::Deadline now) {
  const auto due = std::find_if(waiting_.begin(), waiting_.end(), [&](const Job* job) {
    return is_due(*job, pace, now) && worker.can_take(*job);
  });
  if (due == waiting_.end()) {
    return nullptr;
  }
  Job* job = *due;
  waiting_.erase(due);
  job->wake();
  return job;
}

Job* Rollout::next_new(const Worker& worker) {
  const bool is_paused = pq::Clock::now() < pause_until_;
  if (!may_begin() || is_paused || next_ == wave_ends_[wave_]) {
    return nullptr;
  }
  const Task& task = (*tasks_)[to_do_[next_]];
  const TaskGroup& group = (*groups_)[task.group];
  if (group.plan.is_serial() && serial_ != nullptr) {
    return nullptr;
  }
  auto job = make_job(task);
  if (!worker.can_take(*job)) {
    return nullptr;
  }
  ++next_;
  jobs_.push_back(std::move(job));
  if (group.plan.is_serial()) {
    serial_ = jobs_.back().get();
  }
  return jobs_.back().get();
}

std::unique_ptr<Job> Rollout::make_job(const Task& task) {
  const TaskGroup& group = (*groups_)[task.group];
  Job::Setup setup{.migrate = &options_.migrate, .replan = &replan_, .patience = options_.patience};
  setup.most_locks = is_counted_[task.group] ? nullptr : &most_locks_;
  setup.makes_room = [this] { return make_room(); };
  auto job = std::make_unique<Job>(task.schema, group.plan, group.missing, setup);
  if (takes_long_[task.group]) {
    job->expect_long();
  }
  return job;
}

void Rollout::wait(pq::Deadline now) {
  std::vector<pollfd> entries;
  pq::Deadline until = now + longest_poll;
  for (const auto& worker : workers_) {
    const int events = worker->wants_write() ? POLLIN | POLLOUT : POLLIN;
    entries.push_back({.fd = worker->socket(), .events = static_cast<short>(events), .revents = 0});
    const bool is_to_connect = worker->state() == Worker::State::idle && needs_another();
    if (is_to_connect || worker->is_connecting()) {
      until = std::min(until, std::max(worker->deadline(), now + 1ms));
    }
  }
  entries.push_back({.fd = watch_.socket(),
                     .events = static_cast<short>(watch_.wants_write() ? POLLIN | POLLOUT : POLLIN),
                     .revents = 0});
  for (const Job* job : waiting_) {
    until = std::min(until, std::max(job->ready_at(), now + 1ms));
  }
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
    collect(*workers_[i], later);
  }
  if (later - last_look_ >= look_interval) {
    last_look_ = later;
    ask_watch(later);
  }
  if (later - last_tick_ >= 500ms) {
    last_tick_ = later;
    Progress so_far = progress();
    so_far.activities = activities(later);
    observer_.tick(so_far);
  }
}

Watch::Subject Rollout::subject_of(const Worker& worker) const {
  return {.backend = worker.backend(),
          .name = options_.via_pooler ? worker.application_name() : std::string()};
}

void Rollout::ask_watch(pq::Deadline now) {
  std::vector<Watch::Subject> subjects;
  for (const auto& worker : workers_) {
    const bool is_known = options_.via_pooler || worker->backend().is_known();
    if (is_known && worker->current() != nullptr &&
        now - worker->current_since() >= look_interval) {
      subjects.push_back(subject_of(*worker));
    }
  }
  watch_.ask(subjects, now);
}

// What was seen belongs to the schema that is at the server now.
void Rollout::look(pq::Deadline now) {
  for (const auto& worker : workers_) {
    Job* job = worker->current();
    if (job == nullptr || now - worker->current_since() < 2 * look_interval) {
      continue;
    }
    const Watch::Sight* sight = watch_.sight(subject_of(*worker));
    worker->observe(sight != nullptr && sight->works, now);
    if (sight != nullptr && sight->blocker) {
      job->saw(*sight->blocker);
    }
  }
}

void Rollout::collect(Worker& worker, pq::Deadline now) {
  for (Job* job : worker.released()) {
    if (job->state() == Job::State::over) {
      finish(job, now);
    } else {
      lock_waits_ += job->take_lock_waits();
      waiting_.push_back(job);
    }
  }
}

std::string Rollout::lock_room_text(const Job& job) const {
  if (!options_.room || !job.is_out_of_locks()) {
    return "";
  }
  return fmt::format(
      " (the lock table has room for {} locks, max_locks_per_transaction times connections; {} "
      "were "
      "taken when the run began)",
      options_.room->lock_slots, options_.room->locks);
}

void Rollout::finish(Job* job, pq::Deadline now) {
  if (!job->exhausted().empty()) {
    stop("the server ran out of room: " + job->exhausted() + lock_room_text(*job));
  }
  if (job == serial_) {
    serial_ = nullptr;
  }
  SchemaReport schema = job->report(now);
  learn(*job, schema.duration);
  std::erase_if(jobs_, [job](const auto& owned) { return owned.get() == job; });
  add(std::move(schema));
}

// A group whose schemas take long is not lined up one behind the other on a connection.
void Rollout::learn(const Job& job, std::chrono::milliseconds duration) {
  limit_for_locks();
  for (std::size_t i = 0; i < is_counted_.size(); ++i) {
    is_counted_[i] = is_counted_[i] || (most_locks_ > 0 && job.is_of((*groups_)[i].plan));
  }
  if (job.is_slow() || duration < long_time) {
    return;
  }
  for (std::size_t i = 0; i < takes_long_.size(); ++i) {
    takes_long_[i] = takes_long_[i] || job.is_of((*groups_)[i].plan);
  }
}

void Rollout::add(SchemaReport schema) {
  ++counts_.at(static_cast<std::size_t>(schema.result));
  if (is_problem(schema.result)) {
    ++problems_;
  }
  if (schema.tries > 0) {
    ++retried_;
  }
  report_.schemas.push_back(std::move(schema));
  observer_.finished(report_.schemas.back(), progress());
}

// Everything that has not ended ends here, so that the counts add up to the selection.
void Rollout::end_waiting(Result result, const std::string& why, pq::Deadline now) {
  for (Job* job : std::exchange(waiting_, {})) {
    job->give_up(result, why);
    finish(job, now);
  }
  const bool touched = report_.schemas.size() > tasks_->size() - to_do_.size();
  if (!touched && out_of_workers()) {
    throw pq::ConnectFailed(why, "No schema of this scope was touched.", "");
  }
  while (next_ < to_do_.size()) {
    report_unstarted((*tasks_)[to_do_[next_++]], Result::not_started, why);
  }
}

void Rollout::report_unstarted(const Task& task, Result result, const std::string& why) {
  SchemaReport schema;
  schema.schema = task.schema;
  schema.result = result;
  schema.revision = (*groups_)[task.group].plan.from.head;
  schema.from = schema.revision;
  if (!why.empty()) {
    schema.failure = std::make_unique<Failure>();
    schema.failure->message = why;
  }
  add(std::move(schema));
}

bool Rollout::out_of_workers() const {
  return !workers_.empty() && std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->state() == Worker::State::retired;
  });
}

Progress Rollout::progress() const {
  Progress progress;
  progress.total = tasks_->size();
  progress.finished = report_.schemas.size();
  progress.problems = problems_;
  progress.running = jobs_.size() - std::min(jobs_.size(), waiting_.size());
  progress.waiting = waiting_.size();
  progress.retried = retried_;
  progress.counts = counts_;
  progress.wave = wave_ + 1;
  progress.waves = std::max<std::size_t>(wave_ends_.size(), 1);
  return progress;
}

std::vector<Activity> Rollout::activities(pq::Deadline now) const {
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
