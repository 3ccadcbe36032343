#include <fmt/format.h>

#include <map>

#include "base/number.h"
#include "base/text.h"
#include "rollout/run_ledger.h"

namespace tenantctl {
namespace {

Result result_from(std::string_view text) {
  for (std::size_t i = 0; i < result_count; ++i) {
    if (to_text(static_cast<Result>(i)) == text) {
      return static_cast<Result>(i);
    }
  }
  return Result::failed;
}

RunState state_from(std::string_view text) {
  for (const RunState state : {RunState::ok, RunState::failed, RunState::interrupted,
                               RunState::abandoned, RunState::unknown}) {
    if (to_text(state) == text) {
      return state;
    }
  }
  return RunState::running;
}

// The columns of one run; those that only the server can tell behind the table's own.
constexpr std::string_view iso = "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'";
std::string run_columns() {
  return fmt::format(
      "r.id, r.command, r.target, r.of_run, r.os_user, r.host, r.job, r.tool_version, "
      "r.shared_digest, r.tenant_digest, r.db_user, "
      "pg_catalog.to_char(r.started_at AT TIME ZONE 'UTC', {0}), "
      "pg_catalog.to_char(r.ended_at AT TIME ZONE 'UTC', {0}), "
      "(EXTRACT(EPOCH FROM COALESCE(r.ended_at, r.seen_at) - r.started_at) * 1000)::bigint, "
      "r.message, CASE WHEN r.state <> 'running' THEN r.state "
      "WHEN NOT r.locked AND r.seen_at > pg_catalog.clock_timestamp() - interval '1 minute' "
      "THEN 'running' WHEN NOT r.locked THEN 'unknown' "
      "WHEN EXISTS (SELECT FROM pg_catalog.pg_locks h WHERE h.locktype = 'advisory' "
      "AND h.objsubid = 1 AND h.database = (SELECT d.oid FROM pg_catalog.pg_database d "
      "WHERE d.datname = pg_catalog.current_database()) "
      "AND h.classid::bigint = ({1} >> 32) & 4294967295 "
      "AND h.objid::bigint = {1} & 4294967295) THEN 'running' ELSE 'abandoned' END",
      iso, lock_key("r.id"));
}

RunRecord record_of(const pq::Row& row) {
  RunRecord record;
  record.start.id = row.text(0);
  record.start.command = row.text(1);
  record.start.target = row.text(2);
  record.start.of_run = row.text(3);
  record.start.os_user = row.text(4);
  record.start.host = row.text(5);
  record.start.job = row.text(6);
  record.start.tool_version = row.text(7);
  record.start.shared_digest = row.text(8);
  record.start.tenant_digest = row.text(9);
  record.user = row.text(10);
  record.started_at = row.text(11);
  record.ended_at = row.text(12);
  record.duration = std::chrono::milliseconds(number_of<std::int64_t>(row.text(13)));
  record.end.message = row.text(14);
  record.end.state = state_from(row.text(15));
  return record;
}

void take_count(RunRecord& record, const pq::Row& row) {
  auto& counts = row.text(1) == "shared" ? record.end.shared : record.end.tenants;
  if (!counts) {
    counts.emplace();
  }
  const auto index = static_cast<std::size_t>(result_from(row.text(2)));
  counts->at(index) = number_of<std::size_t>(row.text(3));
}

SchemaReport report_of(const pq::Row& row) {
  SchemaReport report;
  report.schema = row.text(1);
  report.result = result_from(row.text(2));
  report.from = number_of<RevisionNumber>(row.text(3));
  report.revision = number_of<RevisionNumber>(row.text(4));
  report.steps = number_of<std::uint32_t>(row.text(5));
  report.tries = number_of<std::uint32_t>(row.text(6));
  report.duration = std::chrono::milliseconds(number_of<std::int64_t>(row.text(7)));
  if (row.is_null(10)) {
    return report;
  }
  report.failure = std::make_unique<Failure>();
  report.failure->sqlstate = row.text(8);
  report.failure->revision = row.text(9);
  report.failure->message = row.text(10);
  report.failure->hint = row.text(11);
  if (!row.is_null(12)) {
    report.failure->place = Place{.file = std::string(row.text(12)),
                                  .line = number_of<int>(row.text(13)),
                                  .column = number_of<int>(row.text(14)),
                                  .text = {}};
  }
  return report;
}

}  // namespace

std::vector<RunRecord> RunLedger::select(const std::string& condition,
                                         std::vector<std::optional<std::string>> values) {
  std::vector<RunRecord> records;
  std::map<std::string, std::size_t, std::less<>> indexes;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT {} FROM tenantctl.run r {}", run_columns(), condition),
       .values = values,
       .on_row = [&](const pq::Row& row) {
         indexes.try_emplace(std::string(row.text(0)), records.size());
         records.push_back(record_of(row));
       }});
  messages.push_back(
      {.sql = fmt::format("SELECT w.id, s.key, c.key, c.value FROM (SELECT r.id, r.counts FROM "
                          "tenantctl.run r {}) w, pg_catalog.jsonb_each(w.counts) s, "
                          "pg_catalog.jsonb_each_text(s.value) c",
                          condition),
       .values = values,
       .on_row = [&](const pq::Row& row) {
         // A run may have begun between the two.
         if (const auto at = indexes.find(row.text(0)); at != indexes.end()) {
           take_count(records[at->second], row);
         }
       }});
  tables_.read(std::move(messages));
  return records;
}

std::vector<RunRecord> RunLedger::newest(std::size_t limit) {
  return select("ORDER BY r.started_at DESC, r.id LIMIT $1", {fmt::to_string(limit)});
}

RunRecord RunLedger::find(const std::string& prefix) {
  const std::string plain = lowered(prefix);
  const bool is_id =
      !plain.empty() && plain.find_first_not_of("0123456789abcdef-") == std::string::npos;
  if (!is_id) {
    throw UsageError(fmt::format("\"{}\" is no run's id", escaped(prefix)),
                     "tenantctl runs lists them; the first digits are enough.");
  }
  std::vector<RunRecord> records = select(
      "WHERE pg_catalog.starts_with(r.id::text, $1) ORDER BY r.started_at DESC LIMIT 2", {plain});
  if (records.empty()) {
    throw UsageError(fmt::format("there is no run {}", plain), "tenantctl runs lists them.");
  }
  if (records.size() > 1) {
    throw UsageError(fmt::format("several runs begin with {}", plain),
                     fmt::format("{} is the newest of them.", records.front().start.id));
  }
  records.front().start.groups = groups(records.front().start.id);
  return std::move(records.front());
}

std::vector<RunGroup> RunLedger::groups(const std::string& run_id) {
  std::vector<RunGroup> all;
  const std::string from_groups =
      "FROM tenantctl.run r, pg_catalog.jsonb_array_elements(r.plan) WITH ORDINALITY AS g (item, "
      "number)";
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT g.item->>'scope', g.item->>'from', g.item->>'to', g.item->>'count' " +
              from_groups + " WHERE r.id = $1 ORDER BY g.number",
       .values = {run_id},
       .on_row = [&](const pq::Row& row) {
         RunGroup group;
         group.scope = scope_from_text(row.text(0)).value_or(Scope::tenant);
         group.from = number_of<RevisionNumber>(row.text(1));
         group.to = number_of<RevisionNumber>(row.text(2));
         group.count = number_of<std::size_t>(row.text(3));
         all.push_back(std::move(group));
       }});
  for (const std::string_view key : {"revisions", "schemas"}) {
    messages.push_back(
        {.sql = fmt::format("SELECT g.number, e.value {}, pg_catalog.jsonb_array_elements_text("
                            "g.item->'{}') WITH ORDINALITY AS e (value, place) "
                            "WHERE r.id = $1 ORDER BY g.number, e.place",
                            from_groups, key),
         .values = {run_id},
         .on_row = [&all, key](const pq::Row& row) {
           RunGroup& group = all.at(number_of<std::size_t>(row.text(0)) - 1);
           (key == "schemas" ? group.schemas : group.revisions).emplace_back(row.text(1));
         }});
  }
  tables_.read(std::move(messages));
  return all;
}

std::vector<std::string> RunLedger::retries(const std::string& run_id) {
  std::vector<std::string> ids;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "WITH RECURSIVE later AS (SELECT r.id, r.started_at FROM tenantctl.run r "
              "WHERE r.of_run = $1 AND r.command = 'retry' UNION "
              "SELECT r.id, r.started_at FROM tenantctl.run r JOIN later ON r.of_run = later.id "
              "WHERE r.command = 'retry') SELECT later.id FROM later "
              "ORDER BY later.started_at DESC, later.id",
       .values = {run_id},
       .on_row = [&ids](const pq::Row& row) { ids.emplace_back(row.text(0)); }});
  tables_.read(std::move(messages));
  return ids;
}

std::vector<RunSchema> RunLedger::schemas(const std::string& run_id) {
  std::vector<RunSchema> all;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT s.scope, s.schema, s.result, s.from_revision, s.revision, s.steps, s.tries, "
              "s.duration_ms, s.sqlstate, s.failed_revision, s.message, s.hint, s.file, s.line, "
              "s.line_column FROM tenantctl.run_schema s WHERE s.run_id = $1 "
              "ORDER BY s.scope, s.schema COLLATE pg_catalog.\"C\"",
       .values = {run_id},
       .on_row = [&all](const pq::Row& row) {
         all.push_back({.scope = scope_from_text(row.text(0)).value_or(Scope::tenant),
                        .report = report_of(row)});
       }});
  tables_.read(std::move(messages));
  return all;
}

}  // namespace tenantctl
