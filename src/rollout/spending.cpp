#include "rollout/spending.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// The slowest standby's delay; NULL while none says anything. Others than members of
// pg_read_all_stats see of a standby only that it is there.
constexpr const char* lag_question =
    "SELECT pg_catalog.max((EXTRACT(epoch FROM r.replay_lag) * 1000)::pg_catalog.int8), "
    "pg_catalog.count(*) FILTER (WHERE r.state IS NULL) > 0 "
    "FROM pg_catalog.pg_stat_replication r";

}  // namespace

void Spending::begin_wave() {
  problems_ = 0;
  lock_waits_ = 0;
}

std::string Spending::excess(const Agenda& agenda, std::chrono::nanoseconds elapsed) const {
  const auto failures =
      agenda.is_canary() ? budgets_.failures.value_or(Amount{}) : budgets_.failures;
  if (failures && problems_ > failures->at_most(agenda.wave_size())) {
    return fmt::format("{} of {} failed{}", counted(problems_, "schema"),
                       agenda.waves() > 1 ? fmt::format("wave {}", agenda.wave() + 1) : "the run",
                       budgets_.failures ? ", more than --max-failures allows" : "");
  }
  if (budgets_.lock_waits && lock_waits_ > *budgets_.lock_waits) {
    return fmt::format("{} met a lock, more than --max-lock-waits allows",
                       lock_waits_ == 1 ? "1 try" : fmt::format("{} tries", lock_waits_));
  }
  if (budgets_.duration && elapsed > *budgets_.duration) {
    return "the run takes longer than --max-duration allows";
  }
  return "";
}

bool Spending::is_lag_due(pq::Deadline now) const {
  return limits_lag() && now - last_lag_check_ > 1s;
}

std::string Spending::lag_excess(pq::Pipeline& control, pq::Deadline now) {
  last_lag_check_ = now;
  std::chrono::milliseconds lag{0};
  std::vector<pq::Message> messages = pq::question_settings(control.connection().role());
  bool is_hidden = false;
  messages.push_back({.sql = lag_question, .on_row = [&](const pq::Row& row) {
                        is_hidden = row.text(1) == "t";
                        const std::string text(row.text(0));
                        lag = std::chrono::milliseconds(text.empty() ? 0 : std::stoll(text));
                      }});
  try {
    const pq::FlightAnswer answer = control.wait_for_answer(std::move(messages), now + 2s);
    if (const pq::Answer* failure = answer.failure()) {
      return "the standbys' delay cannot be read: " + failure->error->message;
    }
  } catch (const pq::ConnectionLost& error) {
    return fmt::format("the standbys' delay cannot be read: {}", error.what());
  }
  if (is_hidden) {
    return "the standbys' delay cannot be read: the role is no member of pg_read_all_stats";
  }
  if (lag > *budgets_.replica_lag) {
    return fmt::format("a standby is {} ms behind, more than --max-replica-lag allows",
                       lag.count());
  }
  return "";
}

}  // namespace tenantctl
