#include "tenant/tenant_moves.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

namespace tenantctl {
namespace {

// Whom a move may close.
constexpr std::string_view movable = "('ready', 'suspended', 'archived')";
constexpr std::string_view move_time = "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'";

std::vector<std::string> moves_of_version_1() {
  return {
      "CREATE TABLE tenantctl.move (\n"
      "  tenant uuid PRIMARY KEY,\n"
      "  tenant_state text NOT NULL,\n"
      "  stage text NOT NULL CHECK (stage IN ('copying', 'moved', 'confirming', 'undoing')),\n"
      "  from_isolation text NOT NULL,\n"
      "  from_schema text NOT NULL,\n"
      "  from_database text,\n"
      "  to_isolation text NOT NULL,\n"
      "  to_schema text NOT NULL,\n"
      "  to_database text,\n"
      "  mark text NOT NULL,\n"
      "  sums jsonb NOT NULL DEFAULT '[]',\n"
      "  run_id text NOT NULL,\n"
      "  began_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
      "  moved_at timestamptz\n"
      ")",
      "ALTER TABLE tenantctl.tenant DROP CONSTRAINT IF EXISTS tenant_state_check",
      "ALTER TABLE tenantctl.tenant ADD CONSTRAINT tenant_state_check CHECK (state IN "
      "('provisioning', 'ready', 'suspended', 'archived', 'deleting', 'moving'))"};
}

std::vector<std::string> moves_of_version_2() {
  return {"ALTER TABLE tenantctl.move ADD COLUMN tenant_column text, ADD COLUMN common text[]"};
}

const Component& move_component() {
  static const Component component{.name = "moves",
                                   .tables = {"tenant", "place", "move"},
                                   .versions = {moves_of_version_1(), moves_of_version_2()}};
  return component;
}

// For who only reads: whatever stands there, unless it is newer.
Component installed_component(int version) {
  Component component = move_component();
  if (version < component.version()) {
    component.versions.resize(static_cast<std::size_t>(version));
  }
  return component;
}

TenantMove::Stage stage_of(std::string_view text) {
  for (const TenantMove::Stage stage :
       {TenantMove::Stage::moved, TenantMove::Stage::confirming, TenantMove::Stage::undoing}) {
    if (to_text(stage) == text) {
      return stage;
    }
  }
  return TenantMove::Stage::copying;
}

std::string select_moves(int version) {
  return fmt::format(
      "SELECT m.tenant_state, m.stage, m.from_isolation, m.from_schema, m.from_database, "
      "m.to_isolation, m.to_schema, m.to_database, m.mark, m.sums, m.run_id, m.tenant, "
      "pg_catalog.to_char(COALESCE(m.moved_at, m.began_at) AT TIME ZONE 'UTC', {}), "
      "pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - COALESCE(m.moved_at, "
      "m.began_at))::pg_catalog.int8, {}, t.slug FROM tenantctl.move m LEFT JOIN tenantctl.tenant "
      "t "
      "ON t.id = m.tenant",
      move_time, version < 2 ? "NULL" : "m.tenant_column");
}

TenantMove move_of(const pq::Row& row) {
  const auto text = [&row](int column) { return std::string(row.text(column)); };
  TenantMove move{.tenant = text(11),
                  .state = text(0),
                  .stage = stage_of(row.text(1)),
                  .source = {.isolation = text(2), .schema = text(3), .database = text(4)},
                  .target = {.isolation = text(5), .schema = text(6), .database = text(7)},
                  .mark = text(8),
                  .sums = text(9),
                  .run_id = text(10)};
  move.since = row.text(12);
  move.age = number_of<std::int64_t>(row.text(13));
  move.slug = row.text(15);
  if (!row.text(14).empty()) {
    move.tables = MoveTables{.tenant_column = text(14), .common = {}};
  }
  return move;
}

/// All moves that `condition` is true of, or one: two questions.
std::vector<pq::Message> read_moves(std::vector<TenantMove>& moves, int version,
                                    const std::string& condition,
                                    const std::vector<std::optional<std::string>>& values) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = select_moves(version) + condition,
                      .values = values,
                      .on_row = [&moves](const pq::Row& row) { moves.push_back(move_of(row)); }});
  if (version < 2) {
    return messages;
  }
  messages.push_back({.sql = "SELECT m.tenant, c.name FROM tenantctl.move m, "
                             "pg_catalog.unnest(m.common) AS c (name)",
                      .on_row = [&moves](const pq::Row& row) {
                        const auto move =
                            std::ranges::lower_bound(moves, row.text(0), {}, &TenantMove::tenant);
                        if (move != moves.end() && move->tenant == row.text(0) && move->tables) {
                          move->tables->common.emplace_back(row.text(1));
                        }
                      }});
  return messages;
}

std::optional<std::string> null_if_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

std::string_view to_text(TenantMove::Stage stage) {
  switch (stage) {
    case TenantMove::Stage::copying:
      return "copying";
    case TenantMove::Stage::moved:
      return "moved";
    case TenantMove::Stage::confirming:
      return "confirming";
    case TenantMove::Stage::undoing:
      break;
  }
  return "undoing";
}

Installed TenantMoves::install() { return components_.install(move_component()); }

std::vector<TenantMove> TenantMoves::all() {
  std::vector<TenantMove> moves;
  const int version = components_.version_of(move_component());
  if (version > 0) {
    components_.read(installed_component(version), read_moves(moves, version, " ORDER BY 12", {}));
  }
  return moves;
}

// The lock waits for a transaction that settles it, whose client may be gone.
std::optional<TenantMove> TenantMoves::find(const std::string& tenant) {
  if (components_.version_of(move_component()) == 0) {
    return std::nullopt;
  }
  const int version = install().after;
  std::vector<TenantMove> found;
  components_.write(move_component(),
                    read_moves(found, version, " WHERE m.tenant = $1 FOR UPDATE OF m", {tenant}));
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

bool TenantMoves::begin(const TenantMove& move) {
  bool is_begun = false;
  std::vector<pq::Message> messages;
  // Whoever drops the home closes it first, and looks for moves then.
  messages.push_back({.sql = "SELECT FROM tenantctl.place p WHERE p.schema_name = $1 FOR SHARE",
                      .values = {move.target.schema}});
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.move (tenant, tenant_state, stage, from_isolation, "
              "from_schema, from_database, to_isolation, to_schema, to_database, mark, run_id, "
              "tenant_column, common) "
              "SELECT $1, $2, 'copying', $3, $4, $5, $6::pg_catalog.text, $7::pg_catalog.text, $8, "
              "$9, $10, $11, $12::pg_catalog.text[] WHERE $6::pg_catalog.text <> 'rows' OR EXISTS "
              "(SELECT FROM tenantctl.place p WHERE p.schema_name = $7::pg_catalog.text "
              "AND p.purpose = 'rows' AND p.state = 'ready') RETURNING true",
       .values = {move.tenant, move.state, move.source.isolation, move.source.schema,
                  null_if_empty(move.source.database), move.target.isolation, move.target.schema,
                  null_if_empty(move.target.database), move.mark, move.run_id,
                  move.tables ? std::optional(move.tables->tenant_column) : std::nullopt,
                  move.tables ? std::optional(array_of(move.tables->common)) : std::nullopt},
       .on_row = [&is_begun](const pq::Row& /*row*/) { is_begun = true; }});
  components_.write(move_component(), std::move(messages));
  return is_begun;
}

bool TenantMoves::close(TenantMove& move) {
  bool is_closed = false;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("UPDATE tenantctl.move m SET tenant_state = t.state FROM (SELECT t.state "
                          "FROM tenantctl.tenant t WHERE t.id = $1 AND t.state IN {} FOR UPDATE) t "
                          "WHERE m.tenant = $1",
                          movable),
       .values = {move.tenant}});
  messages.push_back({.sql = fmt::format("UPDATE tenantctl.tenant SET state = 'moving' WHERE id = "
                                         "$1 AND (state = 'moving' OR state IN {}) RETURNING true",
                                         movable),
                      .values = {move.tenant},
                      .on_row = [&is_closed](const pq::Row& /*row*/) { is_closed = true; }});
  messages.push_back(
      {.sql = "SELECT m.tenant_state FROM tenantctl.move m WHERE m.tenant = $1",
       .values = {move.tenant},
       .on_row = [&move](const pq::Row& row) { move.state = std::string(row.text(0)); }});
  components_.write(move_component(), std::move(messages));
  return is_closed;
}

void TenantMoves::reopen(const TenantMove& move) {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "UPDATE tenantctl.tenant SET state = $2 WHERE id = $1 AND state = 'moving'",
       .values = {move.tenant, move.state}});
  components_.write(move_component(), std::move(messages));
}

void TenantMoves::set_stage(const TenantMove& move, TenantMove::Stage stage) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.move SET stage = $2 WHERE tenant = $1",
                      .values = {move.tenant, std::string(to_text(stage))}});
  components_.write(move_component(), std::move(messages));
}

void TenantMoves::forget(const TenantMove& move) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.tenant SET state = $2 WHERE id = $1 "
                             "AND state = 'moving'",
                      .values = {move.tenant, move.state}});
  messages.push_back(
      {.sql = "DELETE FROM tenantctl.move WHERE tenant = $1", .values = {move.tenant}});
  components_.write(move_component(), std::move(messages));
}

void TenantMoves::settle(pq::OpenTransaction& transaction, const TenantMove& move,
                         const MovePlace& place, TenantMove::Stage stage, const std::string& sums) {
  int changed = 0;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "UPDATE tenantctl.tenant SET isolation = $2, schema_name = $3, database_name = $4, "
              "state = $5 WHERE id = $1 AND state = 'moving' RETURNING true",
       .values = {move.tenant, place.isolation, place.schema, null_if_empty(place.database),
                  move.state},
       .on_row = [&changed](const pq::Row& /*row*/) { ++changed; }});
  messages.push_back(
      {.sql = "UPDATE tenantctl.move SET stage = $2, sums = $3, "
              "moved_at = pg_catalog.clock_timestamp() WHERE tenant = $1 RETURNING true",
       .values = {move.tenant, std::string(to_text(stage)), sums},
       .on_row = [&changed](const pq::Row& /*row*/) { ++changed; }});
  transaction.run(components_.checked(move_component(), std::move(messages)));
  if (changed != 2) {
    throw Error("somebody else changed the tenant's row meanwhile",
                "tenantctl tenant list shows what it is now. The tenant stays where it was.");
  }
}

}  // namespace tenantctl
