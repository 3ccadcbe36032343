#include "rollout/run_recorder.h"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "pq/stop_point.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t batch_size = 1'000;
constexpr auto batch_time = 1s;
// Behind a pooler nothing else tells that the run lives.
constexpr auto heartbeat = 15s;

// What stood where it should is only counted.
bool has_row(Result result) { return result != Result::unchanged; }

// A schema may stand only once in a statement: what was said of it last holds.
void keep_last(std::vector<RunSchema>& rows) {
  std::set<std::pair<Scope, std::string>> seen;
  for (std::size_t i = rows.size(); i-- > 0;) {
    if (!seen.insert({rows[i].scope, rows[i].report.schema}).second) {
      rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

SchemaReport copy_of(const SchemaReport& report) {
  SchemaReport copy;
  copy.schema = report.schema;
  copy.result = report.result;
  copy.from = report.from;
  copy.revision = report.revision;
  copy.steps = report.steps;
  copy.tries = report.tries;
  copy.duration = report.duration;
  if (report.failure != nullptr) {
    copy.failure = std::make_unique<Failure>(*report.failure);
  }
  return copy;
}

}  // namespace

RunRecorder::RunRecorder(pq::Pipeline& control, Options options)
    : pipeline_(control), options_(std::move(options)) {}

RunRecorder::~RunRecorder() {
  if (begun_ && !over_) {
    end_.message = "the command ended with an error";
    end(RunState::failed);
  }
}

void RunRecorder::begin(RunStart run) {
  run_ = std::move(run);
  begun_ = true;
  std::size_t count = 0;
  for (const RunGroup& group : run_.groups) {
    count += group.count;
  }
  late_ = count <= 1;
  if (!late_) {
    stands_ = attempt([this](RunLedger& ledger) { ledger.begin(run_, options_.locks); },
                      options_.reconnect_timeout);
    held_in_ = pipeline_.generation();
    run_.groups.clear();
    pq::stop_point(pq::StopPoint::ledger_begun, "", &pipeline_.connection());
  }
  written_ = pq::Clock::now();
}

void RunRecorder::finished(const SchemaReport& schema, const Progress& /*progress*/) {
  if (!is_recording()) {
    return;
  }
  if (has_row(schema.result)) {
    keep(scope_, schema);
  }
  if (schema.result != Result::applied) {
    problems_.insert(schema.schema);
  }
  if (rows_.size() >= batch_size || (!rows_.empty() && pq::Clock::now() - written_ >= batch_time)) {
    flush();
  }
}

void RunRecorder::tick(const Progress& /*progress*/) {
  if (!is_recording()) {
    return;
  }
  const auto idle = pq::Clock::now() - written_;
  if (idle >= (rows_.empty() ? heartbeat : batch_time)) {
    flush();
  }
}

void RunRecorder::complete(Scope scope, const Report& report, bool again) {
  if (again) {
    // A schema may stand only once in a batch.
    flush();
    problems_.clear();
  }
  for (const SchemaReport& schema : report.schemas) {
    const bool told = schema.result == Result::applied || problems_.contains(schema.schema);
    if (is_recording() && has_row(schema.result) && !told) {
      keep(scope, schema);
    }
    if (rows_.size() >= batch_size) {
      flush();
    }
  }
  problems_.clear();
  (scope == Scope::shared ? end_.shared : end_.tenants) = report.counts();
}

void RunRecorder::end(RunState state) {
  end_.state = state;
  over_ = true;
  // Also where something of it is missing, or it would look abandoned.
  if (!stands_ && !is_recording()) {
    return;
  }
  if (!why_not_.empty()) {
    end_.message = "not every schema was recorded: " + why_not_;
  }
  pq::stop_point(pq::StopPoint::ledger_due, "", &pipeline_.connection());
  const auto write = [this](RunLedger& ledger) {
    if (late_) {
      ledger.record(run_, end_, rows_);
    } else {
      ledger.end(run_.id, end_, rows_);
    }
  };
  keep_last(rows_);
  // Whoever interrupted the run waits for its end.
  attempt(write, state == RunState::interrupted
                     ? std::min<std::chrono::milliseconds>(options_.reconnect_timeout, 5s)
                     : options_.reconnect_timeout);
  pq::stop_point(pq::StopPoint::ledger_ended, "", &pipeline_.connection());
  rows_.clear();
}

void RunRecorder::keep(Scope scope, const SchemaReport& schema) {
  rows_.push_back({.scope = scope, .report = copy_of(schema)});
}

void RunRecorder::flush() {
  if (late_ || !is_recording()) {
    return;
  }
  keep_last(rows_);
  if (attempt([this](RunLedger& ledger) { ledger.add(run_.id, rows_); }, 0ms)) {
    rows_.clear();
    written_ = pq::Clock::now();
  } else {
    // What is not answered holds up the run's schemas: not soon again.
    written_ = pq::Clock::now() + options_.reconnect.timeout;
  }
}

bool RunRecorder::attempt(const Write& write, std::chrono::milliseconds patience) {
  const pq::Deadline until = pq::Clock::now() + patience;
  bool tried = false;
  while (true) {
    std::string why;
    try {
      if (attempt_once(write, true)) {
        return true;
      }
    } catch (const pq::ConnectionLost& error) {
      why = error.what();
    } catch (const pq::ConnectFailed& error) {
      why = error.what();
    } catch (const Error& error) {
      // A translation: the run is worth more than its record.
      why_not_ = error.what();
      return false;
    }
    if (patience == 0ms) {
      if (!std::exchange(tried, true) && !why.empty()) {
        continue;
      }
      return false;
    }
    if (pq::Clock::now() >= until) {
      why_not_ = why;
      return false;
    }
    std::this_thread::sleep_for(200ms);
  }
}

// Rows are replaced, so that writing them twice does no harm.
bool RunRecorder::attempt_once(const Write& write, bool reconnects) {
  if (pipeline_.is_lost() && !reconnects) {
    return false;
  }
  if (pipeline_.is_lost()) {
    pipeline_.restart(pq::Connection::open(options_.reconnect));
    const pq::Connection& fresh = pipeline_.connection();
    pipeline_.wait_for_answer(
        pq::session_settings(fresh.server_version(), fresh.backend_pid(), fresh.role()),
        pq::Clock::now() + 10s);
  }
  RunLedger ledger(pipeline_, options_.owners);
  if (options_.locks && stands_ && held_in_ != pipeline_.generation()) {
    ledger.hold(run_.id);
    held_in_ = pipeline_.generation();
  }
  write(ledger);
  return true;
}

}  // namespace tenantctl
