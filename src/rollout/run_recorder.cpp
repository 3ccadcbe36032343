#include "rollout/run_recorder.h"

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
    : pipeline_(&control), options_(std::move(options)) {}

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
    stands_ = attempt([this](RunLedger& ledger) { ledger.begin(run_, options_.locks); });
    run_.groups.clear();
    pq::stop_point(pq::StopPoint::ledger_begun, "", &pipeline_->connection());
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
  pq::stop_point(pq::StopPoint::ledger_due, "", &pipeline_->connection());
  attempt([this](RunLedger& ledger) {
    if (late_) {
      ledger.record(run_, end_, rows_);
    } else {
      ledger.end(run_.id, end_, rows_);
    }
  });
  pq::stop_point(pq::StopPoint::ledger_ended, "", &pipeline_->connection());
  rows_.clear();
}

void RunRecorder::keep(Scope scope, const SchemaReport& schema) {
  rows_.push_back({.scope = scope, .report = copy_of(schema)});
}

void RunRecorder::flush() {
  if (late_ || !is_recording()) {
    return;
  }
  if (attempt([this](RunLedger& ledger) { ledger.add(run_.id, rows_); })) {
    rows_.clear();
  }
  written_ = pq::Clock::now();
}

bool RunRecorder::attempt(const std::function<void(RunLedger& ledger)>& write) {
  try {
    try {
      RunLedger ledger(*pipeline_, options_.owners);
      write(ledger);
    } catch (const pq::ConnectionLost&) {
      // Rows are replaced, so that writing them twice does no harm.
      reconnect();
      RunLedger ledger(*pipeline_, options_.owners);
      if (options_.locks && stands_) {
        ledger.hold(run_.id);
      }
      write(ledger);
    }
    return true;
  } catch (const Error& error) {
    // A translation: the run is worth more than its record.
    why_not_ = error.what();
    return false;
  }
}

void RunRecorder::reconnect() {
  own_pipeline_.reset();
  own_connection_ = std::make_unique<pq::Connection>(pq::Connection::open(options_.reconnect));
  own_pipeline_ = std::make_unique<pq::Pipeline>(*own_connection_);
  own_pipeline_->wait_for_answer(
      pq::session_settings(own_connection_->server_version(), own_connection_->backend_pid()),
      pq::Clock::now() + 10s);
  pipeline_ = own_pipeline_.get();
}

}  // namespace tenantctl
