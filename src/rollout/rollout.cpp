#include "rollout/rollout.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// A signal that arrives between a look at its flag and poll() is seen this much later.
constexpr auto longest_poll = 200ms;

}  // namespace

Rollout::Rollout(const RolloutOptions& options, const Replan& replan, Observer& observer,
                 pq::Pipeline& control, const std::atomic<int>& signals)
    : options_(options),
      replan_(replan),
      observer_(observer),
      control_(control),
      signals_(signals) {}

Report Rollout::run(const std::vector<TaskGroup>& groups, const std::vector<Task>& tasks) {
  groups_ = &groups;
  tasks_ = &tasks;
  const pq::Deadline begin = pq::Clock::now();
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    if (!groups[tasks[i].group].plan.empty()) {
      to_do_.push_back(i);
    }
  }
  const std::size_t connections = std::min(options_.jobs, to_do_.size());
  for (std::size_t i = 0; i < connections; ++i) {
    workers_.push_back(std::make_unique<Worker>(options_.worker));
  }
  observer_.started(progress());
  for (const Task& task : tasks) {
    if (groups[task.group].plan.empty()) {
      report_unstarted(task, Result::unchanged, "");
    }
  }
  while (report_.schemas.size() < tasks.size()) {
    const pq::Deadline now = pq::Clock::now();
    heed_signals(now);
    assign(now);
    if (out_of_workers()) {
      end_waiting(Result::not_started, workers_.front()->why(), now);
      break;
    }
    if (report_.schemas.size() >= tasks.size()) {
      break;
    }
    wait(now);
  }
  drain();
  report_.interrupted = signals_.load() > 0;
  report_.duration =
      std::chrono::duration_cast<std::chrono::milliseconds>(pq::Clock::now() - begin);
  observer_.ended(report_);
  return std::move(report_);
}

// A session closed with an unread answer, or while it begins, puts a FATAL line into the server's
// log.
void Rollout::drain() {
  const pq::Deadline until = pq::Clock::now() + 5s;
  for (pq::Deadline now = pq::Clock::now(); now < until; now = pq::Clock::now()) {
    const bool is_idle = std::none_of(workers_.begin(), workers_.end(),
                                      [](const auto& worker) { return worker->is_busy(); });
    if (is_idle) {
      return;
    }
    wait(now);
  }
}

void Rollout::heed_signals(pq::Deadline now) {
  const int signals = signals_.load();
  if (signals > 0 && now - last_cancel_ >= 100ms) {
    last_cancel_ = now;
    for (const auto& job : jobs_) {
      job->interrupt();
    }
    cancel_running();
  }
  if (signals > 1) {
    close_all(now);
  }
  const bool is_idle = std::none_of(workers_.begin(), workers_.end(),
                                    [](const auto& worker) { return worker->is_busy(); });
  if (!may_begin() && is_idle) {
    give_up_waiting(signals > 0 ? Result::interrupted : Result::not_started, now);
  }
}

void Rollout::close_all(pq::Deadline now) {
  for (const auto& worker : workers_) {
    if (worker->is_busy()) {
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

// By pid, over the idle control connection: libpq 15's own cancel connects anew, without deadline.
void Rollout::cancel_running() {
  for (const auto& worker : workers_) {
    if (!worker->is_cancellable()) {
      continue;
    }
    if (options_.via_pooler) {
      worker->cancel();
      continue;
    }
    std::vector<pq::Message> messages;
    messages.push_back({.sql = "SELECT pg_catalog.pg_cancel_backend($1)",
                        .values = {fmt::to_string(worker->backend_pid())}});
    try {
      control_.wait_for_answer(std::move(messages), pq::Clock::now() + 2s);
    } catch (const pq::ConnectionLost&) {
      worker->cancel();
    }
  }
}

void Rollout::assign(pq::Deadline now) {
  for (const auto& worker : workers_) {
    worker->continue_holder(may_begin(), now);
    const bool has_work = next_ < to_do_.size() || !waiting_.empty();
    if (has_work) {
      worker->connect(now);
    }
    while (worker->can_take()) {
      Job* job = next_job(now);
      if (job == nullptr) {
        break;
      }
      worker->take(*job, now);
    }
    collect(*worker, now);
  }
}

Job* Rollout::next_job(pq::Deadline now) {
  const auto due = std::find_if(waiting_.begin(), waiting_.end(), [now](const Job* job) {
    return job->state() == Job::State::ready || job->ready_at() <= now;
  });
  if (due != waiting_.end() && (may_begin() || (*due)->is_unsettled())) {
    Job* job = *due;
    waiting_.erase(due);
    job->wake();
    return job;
  }
  if (!may_begin() || next_ == to_do_.size()) {
    return nullptr;
  }
  const Task& task = (*tasks_)[to_do_[next_++]];
  const TaskGroup& group = (*groups_)[task.group];
  jobs_.push_back(std::make_unique<Job>(
      task.schema, group.plan, group.missing,
      Job::Setup{.migrate = &options_.migrate, .replan = &replan_, .patience = options_.patience}));
  return jobs_.back().get();
}

void Rollout::wait(pq::Deadline now) {
  std::vector<pollfd> entries;
  pq::Deadline until = now + longest_poll;
  for (const auto& worker : workers_) {
    const int events = worker->wants_write() ? POLLIN | POLLOUT : POLLIN;
    entries.push_back({.fd = worker->socket(), .events = static_cast<short>(events), .revents = 0});
    if (worker->state() == Worker::State::idle || worker->state() == Worker::State::connecting) {
      until = std::min(until, std::max(worker->deadline(), now + 1ms));
    }
  }
  for (const Job* job : waiting_) {
    until = std::min(until, std::max(job->ready_at(), now + 1ms));
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  ::poll(entries.data(), entries.size(), static_cast<int>(left));
  const pq::Deadline later = pq::Clock::now();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const bool overdue =
        workers_[i]->state() == Worker::State::connecting && later >= workers_[i]->deadline();
    if (entries[i].revents != 0 || overdue) {
      workers_[i]->advance(later);
    }
    collect(*workers_[i], later);
  }
  if (later - last_tick_ >= 500ms) {
    last_tick_ = later;
    Progress so_far = progress();
    so_far.activities = activities(later);
    observer_.tick(so_far);
  }
}

void Rollout::collect(Worker& worker, pq::Deadline now) {
  for (Job* job : worker.released()) {
    if (job->state() == Job::State::over) {
      finish(job, now);
    } else {
      waiting_.push_back(job);
    }
  }
}

void Rollout::finish(Job* job, pq::Deadline now) {
  if (!job->exhausted().empty() && report_.stopped_by.empty()) {
    report_.stopped_by = "the server ran out of room: " + job->exhausted();
  }
  SchemaReport schema = job->report(now);
  std::erase_if(jobs_, [job](const auto& owned) { return owned.get() == job; });
  add(std::move(schema));
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
  return progress;
}

std::vector<Activity> Rollout::activities(pq::Deadline now) const {
  std::vector<Activity> activities;
  for (const auto& job : jobs_) {
    if (job->started_at() == pq::Deadline{}) {
      continue;
    }
    Activity activity;
    activity.schema = job->schema();
    activity.duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - job->started_at());
    activities.push_back(std::move(activity));
  }
  std::sort(activities.begin(), activities.end(),
            [](const Activity& a, const Activity& b) { return a.duration > b.duration; });
  return activities;
}

}  // namespace tenantctl
