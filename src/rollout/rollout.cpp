#include "rollout/rollout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pq/stop_point.h"
#include "rollout/agenda.h"
#include "rollout/crew.h"
#include "rollout/lock_room.h"
#include "rollout/spending.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// A signal that arrives between a look at its flag and poll() is seen this much later.
constexpr auto longest_poll = 200ms;
constexpr auto long_time = 1s;

}  // namespace

/// One run: gives the agenda's schemas to workers that can take them, and those that wait for a
/// lock again when their time has come, until each has a report.
class Rollout::Loop {
 public:
  Loop(const Rollout& rollout, const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks)
      : options_(rollout.options_),
        replan_(rollout.replan_),
        observer_(rollout.observer_),
        control_(rollout.control_),
        signals_(rollout.signals_),
        groups_(groups),
        tasks_(tasks),
        agenda_(options_.waves, groups, tasks),
        lock_room_(options_.room, {.jobs = options_.jobs, .schemas = agenda_.size()}, groups,
                   observer_),
        spending_(options_.budgets),
        crew_(options_, observer_, control_),
        takes_long_(groups.size()) {}

  Report run();

 private:
  /// Slow: has met a lock.
  enum class Pace { ordinary, slow };

  void report_unchanged();
  void drain();
  void heed_signals(pq::Deadline now);
  void give_up_waiting(Result result, pq::Deadline now);
  void assign(pq::Deadline now);
  bool needs_another() const;
  void send_away(Worker& worker, pq::Deadline now);
  bool has_work_at(const Worker& worker, pq::Deadline now) const;
  Job* next_elsewhere(const Worker& worker, pq::Deadline now);
  void leave_unreached(pq::Deadline now);
  void skip_unreached();
  Job* next_job(const Worker& worker, pq::Deadline now);
  Job* next_waiting(const Worker& worker, Pace pace, pq::Deadline now);
  bool is_due(const Job& job, Pace pace, pq::Deadline now) const;
  bool is_slow_due(pq::Deadline now) const;
  bool may_begin_next() const;
  Job* next_new(const Worker& worker);
  Job* begin(std::unique_ptr<Job> job);
  std::unique_ptr<Job> make_job(const Task& task);
  void learn(const Job& job, std::chrono::milliseconds duration);
  void end_wave(pq::Deadline now);
  void start_wave(pq::Deadline now);
  void check_budgets(pq::Deadline now);
  void check_replica_lag(pq::Deadline now);
  void stop(const std::string& why);
  void wait(pq::Deadline now);
  void collect(pq::Deadline now);
  void collect(Worker& worker, pq::Deadline now);
  void finish(Job* job, pq::Deadline now);
  void end_waiting(Result result, const std::string& why, pq::Deadline now);
  void report_unstarted(const Task& task, Result result, const std::string& why);
  void add(SchemaReport schema);
  bool may_begin() const { return signals_.load() == 0 && report_.stopped_by.empty(); }
  Progress progress() const;

  const RolloutOptions& options_;
  const Replan& replan_;
  Observer& observer_;
  pq::Pipeline& control_;
  const std::atomic<int>& signals_;
  const std::vector<TaskGroup>& groups_;
  const std::vector<Task>& tasks_;

  Agenda agenda_;
  LockRoom lock_room_;
  Spending spending_;
  std::vector<std::unique_ptr<Job>> jobs_;  ///< begun and not over; workers know them
  Crew crew_;
  std::vector<Job*> waiting_;
  Job* serial_ = nullptr;         ///< the one under way whose revision runs in one schema at a time
  std::vector<bool> takes_long_;  ///< by group: its schemas take longer than a second
  std::map<std::uint32_t, std::string> unreached_;  ///< sites that cannot be connected to, and why
  pq::Deadline begin_ = pq::Clock::now();
  pq::Deadline pause_until_{};
  pq::Deadline last_tick_{};
  pq::Deadline last_cancel_{};
  int closed_for_ = 0;  ///< so many signals
  std::optional<pq::Deadline> signalled_at_;
  Report report_;
  std::size_t problems_ = 0;
  std::size_t retried_ = 0;
  std::array<std::size_t, result_count> counts_{};
};

Report Rollout::run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks) {
  return Loop(*this, groups, tasks).run();
}

Report Rollout::Loop::run() {
  report_.schemas.reserve(tasks_.size());
  crew_.hire(std::min(options_.jobs, agenda_.size()));
  observer_.started(progress());
  report_unchanged();
  start_wave(begin_);
  while (report_.schemas.size() < tasks_.size()) {
    const pq::Deadline now = pq::Clock::now();
    heed_signals(now);
    crew_.drop_silent(now, signalled_at_);
    collect(now);
    check_budgets(now);
    assign(now);
    if (crew_.is_retired()) {
      end_waiting(Result::not_started, crew_.workers().front()->why(), now);
      break;
    }
    if (report_.schemas.size() >= tasks_.size()) {
      break;
    }
    wait(now);
    end_wave(now);
  }
  drain();
  crew_.settle(pq::Clock::now() + 2s);
  report_.interrupted = signals_.load() > 0;
  report_.duration =
      std::chrono::duration_cast<std::chrono::milliseconds>(pq::Clock::now() - begin_);
  observer_.ended(report_);
  return std::move(report_);
}

void Rollout::Loop::report_unchanged() {
  for (const Task& task : tasks_) {
    if (groups_[task.group].plan.empty()) {
      report_unstarted(task, Result::unchanged, "");
    }
  }
}

void Rollout::Loop::start_wave(pq::Deadline now) {
  spending_.begin_wave();
  crew_.limit_depth(agenda_.is_canary() ? 1 : options_.worker.depth);
  if (agenda_.waves() > 1) {
    observer_.wave_started(progress(), agenda_.wave_size());
    pause_until_ = agenda_.wave() == 0 ? now : now + options_.waves.pause;
  }
}

// Over only when nothing of it is left: what waits for a lock belongs to it.
void Rollout::Loop::end_wave(pq::Deadline now) {
  const bool is_over = agenda_.is_wave_begun() && jobs_.empty();
  if (!is_over || !may_begin()) {
    return;
  }
  check_budgets(now);
  if (spending_.limits_lag()) {
    check_replica_lag(now);
  }
  if (!may_begin()) {
    return;
  }
  const std::size_t number = agenda_.wave() + 2;
  if (options_.waves.confirm && !options_.waves.confirm(number, agenda_.next_wave_size())) {
    stop(fmt::format("wave {} was not confirmed", number));
    return;
  }
  agenda_.enter_next_wave();
  start_wave(pq::Clock::now());
}

void Rollout::Loop::stop(const std::string& why) {
  if (report_.stopped_by.empty()) {
    report_.stopped_by = why;
  }
}

void Rollout::Loop::check_budgets(pq::Deadline now) {
  if (!may_begin() || agenda_.size() == 0) {
    return;
  }
  stop(spending_.excess(agenda_, now - begin_));
  if (may_begin() && spending_.is_lag_due(now)) {
    check_replica_lag(now);
  }
}

void Rollout::Loop::check_replica_lag(pq::Deadline now) {
  crew_.settle(now + 2s);
  stop(spending_.lag_excess(control_, now));
}

// A session closed with an unread answer, or while it begins, puts a FATAL line into the server's
// log.
void Rollout::Loop::drain() {
  const pq::Deadline until = pq::Clock::now() + 5s;
  for (pq::Deadline now = pq::Clock::now(); now < until; now = pq::Clock::now()) {
    if (crew_.is_idle()) {
      return;
    }
    wait(now);
  }
}

void Rollout::Loop::heed_signals(pq::Deadline now) {
  const int signals = signals_.load();
  if (signals > 0 && !signalled_at_) {
    signalled_at_ = now;
  }
  if (signals > 0 && now - last_cancel_ >= 100ms) {
    last_cancel_ = now;
    for (const auto& job : jobs_) {
      job->interrupt();
    }
    crew_.cancel(now, *signalled_at_);
  }
  // Once for each signal: the connections that settle what was in flight come behind it.
  if (signals > 1 && signals > closed_for_) {
    closed_for_ = signals;
    crew_.close_all(now);
    collect(now);
  }
  if (!may_begin() && crew_.is_idle()) {
    give_up_waiting(signals > 0 ? Result::interrupted : Result::not_started, now);
  }
}

// What is in doubt is still settled: reading begins no work.
void Rollout::Loop::give_up_waiting(Result result, pq::Deadline now) {
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

void Rollout::Loop::assign(pq::Deadline now) {
  leave_unreached(now);
  for (const auto& worker : crew_.workers()) {
    worker->continue_holder(may_begin(), now);
    worker->continue_errand(may_begin(), now);
    send_away(*worker, now);
    if (worker->has_errand() || (worker->site() == 0 && needs_another())) {
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

// Whether there is more to do than connections that are free for it: a canary needs one.
bool Rollout::Loop::needs_another() const {
  if (options_.sites.empty()) {
    return crew_.unused() < agenda_.left() + waiting_.size();
  }
  const bool is_next_here = agenda_.left() > 0 && agenda_.next().site == 0;
  const std::size_t left = is_next_here ? agenda_.left_in_row(options_.jobs) : 0;
  const auto waiting = std::ranges::count(waiting_, 0U, &Job::site);
  return crew_.unused() < left + static_cast<std::size_t>(waiting);
}

// Elsewhere a worker goes only for a job that it takes along: nobody else comes for it meanwhile,
// and no connection is made for nothing.
void Rollout::Loop::send_away(Worker& worker, pq::Deadline now) {
  if (options_.sites.empty() || !worker.is_free() || has_work_at(worker, now)) {
    return;
  }
  if (Job* job = next_elsewhere(worker, now)) {
    worker.go(*job,
              job->site() == 0 ? options_.worker.connect : options_.sites[job->site() - 1].connect,
              now);
  }
}

bool Rollout::Loop::has_work_at(const Worker& worker, pq::Deadline now) const {
  const bool can_stay = worker.site() == 0 || worker.state() == Worker::State::ready;
  const bool is_next_here = may_begin_next() && agenda_.next().site == worker.site();
  return can_stay && (is_next_here || std::ranges::any_of(waiting_, [&](const Job* job) {
                        return job->site() == worker.site() &&
                               (is_due(*job, Pace::ordinary, now) || is_due(*job, Pace::slow, now));
                      }));
}

Job* Rollout::Loop::next_elsewhere(const Worker& worker, pq::Deadline now) {
  if (!lock_room_.allows(crew_.busy_beside(worker))) {
    return nullptr;
  }
  const auto due = std::ranges::find_if(waiting_, [&](const Job* job) {
    return is_due(*job, Pace::ordinary, now) || is_due(*job, Pace::slow, now);
  });
  if (due != waiting_.end()) {
    Job* job = *due;
    waiting_.erase(due);
    job->wake();
    return job;
  }
  return may_begin_next() ? begin(make_job(agenda_.next())) : nullptr;
}

// One failure to connect is enough for all that is there.
void Rollout::Loop::leave_unreached(pq::Deadline now) {
  if (unreached_.empty()) {
    return;
  }
  std::vector<Job*> left;
  for (Job* job : std::exchange(waiting_, {})) {
    const auto at = unreached_.find(job->site());
    if (at == unreached_.end()) {
      left.push_back(job);
      continue;
    }
    job->give_up_unreachable(at->second, "");
    finish(job, now);
  }
  waiting_.insert(waiting_.end(), left.begin(), left.end());
  skip_unreached();
}

void Rollout::Loop::skip_unreached() {
  while (agenda_.left() > 0) {
    const auto at = unreached_.find(agenda_.next().site);
    if (at == unreached_.end()) {
      return;
    }
    report_unstarted(agenda_.next(), Result::unavailable, at->second);
    agenda_.advance();
  }
}

// A schema that met a lock may wait as long again. Half of the connections leave what they have for
// it, the others take it when there is nothing else.
Job* Rollout::Loop::next_job(const Worker& worker, pq::Deadline now) {
  if (!lock_room_.allows(crew_.busy_beside(worker))) {
    return nullptr;
  }
  if (crew_.is_slow_lane(worker) && is_slow_due(now)) {
    return next_waiting(worker, Pace::slow, now);
  }
  Job* job = next_waiting(worker, Pace::ordinary, now);
  if (job == nullptr) {
    job = next_new(worker);
  }
  return job != nullptr ? job : next_waiting(worker, Pace::slow, now);
}

bool Rollout::Loop::is_due(const Job& job, Pace pace, pq::Deadline now) const {
  const bool has_pace = pq::is_off(pq::Protection::slow_lane)
                            ? pace == Pace::ordinary
                            : job.is_slow() == (pace == Pace::slow);
  return has_pace && (job.state() == Job::State::ready || job.ready_at() <= now) &&
         (may_begin() || job.is_unsettled());
}

bool Rollout::Loop::is_slow_due(pq::Deadline now) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Job* job) { return is_due(*job, Pace::slow, now); });
}

Job* Rollout::Loop::next_waiting(const Worker& worker, Pace pace, pq::Deadline now) {
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

bool Rollout::Loop::may_begin_next() const {
  const bool is_paused = pq::Clock::now() < pause_until_;
  if (!may_begin() || is_paused || agenda_.left() == 0) {
    return false;
  }
  return serial_ == nullptr || !groups_[agenda_.next().group].plan.is_serial();
}

Job* Rollout::Loop::next_new(const Worker& worker) {
  if (!may_begin_next()) {
    return nullptr;
  }
  auto job = make_job(agenda_.next());
  return worker.can_take(*job) ? begin(std::move(job)) : nullptr;
}

/// The agenda's next, as make_job() made it.
Job* Rollout::Loop::begin(std::unique_ptr<Job> job) {
  const bool is_serial = groups_[agenda_.next().group].plan.is_serial();
  agenda_.advance();
  jobs_.push_back(std::move(job));
  if (is_serial) {
    serial_ = jobs_.back().get();
  }
  return jobs_.back().get();
}

std::unique_ptr<Job> Rollout::Loop::make_job(const Task& task) {
  const TaskGroup& group = groups_[task.group];
  Job::Setup setup{.migrate = &options_.migrate, .replan = &replan_, .patience = options_.patience};
  setup.most_locks = lock_room_.meter(task.group);
  setup.makes_room = [this] { return lock_room_.shrink(crew_.busy()); };
  setup.site = task.site;
  if (task.site != 0) {
    setup.full_name = task.schema;
  }
  const std::string name =
      task.site == 0 ? task.schema : options_.sites[task.site - 1].site.schema_of(task.schema);
  auto job = std::make_unique<Job>(name, group.plan, group.missing, setup);
  if (takes_long_[task.group]) {
    job->expect_long();
  }
  return job;
}

void Rollout::Loop::wait(pq::Deadline now) {
  pq::Deadline until = now + longest_poll;
  for (const Job* job : waiting_) {
    until = std::min(until, std::max(job->ready_at(), now + 1ms));
  }
  const pq::Deadline later = crew_.wait(now, until, needs_another());
  collect(later);
  if (later - last_tick_ >= 500ms) {
    last_tick_ = later;
    Progress so_far = progress();
    so_far.activities = crew_.activities(later);
    observer_.tick(so_far);
  }
}

void Rollout::Loop::collect(pq::Deadline now) {
  for (const auto& worker : crew_.workers()) {
    collect(*worker, now);
  }
}

void Rollout::Loop::collect(Worker& worker, pq::Deadline now) {
  for (Job* job : worker.released()) {
    if (job->state() == Job::State::over) {
      finish(job, now);
    } else {
      spending_.count_lock_waits(job->take_lock_waits());
      waiting_.push_back(job);
    }
  }
}

void Rollout::Loop::finish(Job* job, pq::Deadline now) {
  if (!job->exhausted().empty()) {
    stop("the server ran out of room: " + job->exhausted() + lock_room_.text(*job));
  }
  if (job == serial_) {
    serial_ = nullptr;
  }
  SchemaReport schema = job->report(now);
  if (schema.result == Result::unavailable) {
    unreached_.try_emplace(job->site(), schema.failure->message);
  }
  learn(*job, schema.duration);
  std::erase_if(jobs_, [job](const auto& owned) { return owned.get() == job; });
  add(std::move(schema));
}

// A group whose schemas take long is not lined up one behind the other on a connection.
void Rollout::Loop::learn(const Job& job, std::chrono::milliseconds duration) {
  lock_room_.learn(job);
  if (job.is_slow() || duration < long_time) {
    return;
  }
  for (std::size_t i = 0; i < takes_long_.size(); ++i) {
    takes_long_[i] = takes_long_[i] || job.is_of(groups_[i].plan);
  }
}

void Rollout::Loop::add(SchemaReport schema) {
  ++counts_.at(static_cast<std::size_t>(schema.result));
  if (is_problem(schema.result)) {
    ++problems_;
    spending_.count_problem();
  }
  if (schema.tries > 0) {
    ++retried_;
  }
  report_.schemas.push_back(std::move(schema));
  observer_.finished(report_.schemas.back(), progress());
}

// Everything that has not ended ends here, so that the counts add up to the selection.
void Rollout::Loop::end_waiting(Result result, const std::string& why, pq::Deadline now) {
  for (Job* job : std::exchange(waiting_, {})) {
    job->give_up(result, why);
    finish(job, now);
  }
  const bool touched = report_.schemas.size() > tasks_.size() - agenda_.size();
  if (!touched && crew_.is_retired()) {
    throw pq::ConnectFailed(why, "No schema of this scope was touched.", "");
  }
  for (; !agenda_.is_begun(); agenda_.advance()) {
    report_unstarted(agenda_.next(), Result::not_started, why);
  }
}

void Rollout::Loop::report_unstarted(const Task& task, Result result, const std::string& why) {
  SchemaReport schema;
  schema.schema = task.schema;
  schema.result = result;
  schema.revision = groups_[task.group].plan.from.head;
  schema.from = schema.revision;
  if (!why.empty()) {
    schema.failure = std::make_unique<Failure>();
    schema.failure->message = why;
  }
  add(std::move(schema));
}

Progress Rollout::Loop::progress() const {
  Progress progress;
  progress.total = tasks_.size();
  progress.finished = report_.schemas.size();
  progress.problems = problems_;
  progress.running = jobs_.size() - std::min(jobs_.size(), waiting_.size());
  progress.waiting = waiting_.size();
  progress.retried = retried_;
  progress.counts = counts_;
  progress.wave = agenda_.wave() + 1;
  progress.waves = std::max<std::size_t>(agenda_.waves(), 1);
  return progress;
}

}  // namespace tenantctl
