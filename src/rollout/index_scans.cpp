#include "rollout/index_scans.h"

#include <fmt/format.h>

#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

constexpr double measured_milliseconds = 40;
constexpr double measured_rows = 162'000;

std::string duration_text(std::chrono::milliseconds duration) {
  constexpr auto few = 10min;
  if (duration < 2min) {
    return fmt::format("{} s", duration / 1s);
  }
  return duration < few ? fmt::format("{} min", duration / 1min)
                        : fmt::format("{:.1f} h", static_cast<double>(duration / 1min) / 60);
}

}  // namespace

std::chrono::milliseconds IndexScans::duration(std::size_t indexes) const {
  const double milliseconds = static_cast<double>(count) * static_cast<double>(indexes) *
                              (measured_milliseconds / measured_rows);
  return std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds));
}

IndexScans count_index_scans(const FleetPlan& plan) {
  IndexScans scans;
  for (const FleetPlan::Group& group : plan.groups) {
    for (const Step& step : group.work.plan.steps) {
      if (!step.runs_sql() || group.problem) {
        continue;
      }
      for (const sql::Statement& statement : step.section().script.statements()) {
        if (!statement.adds_default) {
          continue;
        }
        if (scans.count == 0) {
          scans.first = place_of(*step.revision, step.section(), statement.first_token);
        }
        scans.count += group.schemas.size();
      }
    }
  }
  return scans;
}

std::size_t read_index_count(pq::Pipeline& pipeline, pq::Deadline deadline) {
  std::size_t count = 0;
  std::vector<pq::Message> messages;
  // Never analyzed: -1, before 14 also 0.
  messages.push_back(
      {.sql = "SELECT CASE WHEN c.reltuples > 0 THEN c.reltuples::pg_catalog.int8 "
              "ELSE (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index) END "
              "FROM pg_catalog.pg_class c WHERE c.oid = 'pg_catalog.pg_index'::pg_catalog.regclass",
       .on_row = [&count](const pq::Row& row) { count = std::stoull(std::string(row.text(0))); }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return count;
}

bool spares_index_scans(int server_version) {
  return server_version >= 150000 && server_version <= 150018;
}

std::string index_scan_warning(const IndexScans& scans, std::size_t indexes) {
  constexpr auto worth_it = 10s;
  const auto duration = scans.duration(indexes);
  if (duration <= worth_it) {
    return {};
  }
  return fmt::format(
      "{}:{}: ADD COLUMN ... DEFAULT makes PostgreSQL read all of pg_index, {} rows here: about {} "
      "of the server's time for {} such statements in all (an estimate, and it grows with the "
      "square of the fleet); ADD COLUMN, then SET DEFAULT, does not, but fills no row",
      scans.first.file, scans.first.line, indexes, duration_text(duration), scans.count);
}

}  // namespace tenantctl
