#include "tenant/tenant_moves.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {
namespace {

// Advisory lock class of moves; the second key is made of the tenant's id.
constexpr int move_lock_class = 1952670775;

std::vector<std::string> statements_of_moves() {
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

const Component& move_component() {
  static const Component component{
      .name = "moves", .tables = {"tenant", "move"}, .versions = {statements_of_moves()}};
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

constexpr std::string_view select_moves =
    "SELECT m.tenant_state, m.stage, m.from_isolation, m.from_schema, m.from_database, "
    "m.to_isolation, m.to_schema, m.to_database, m.mark, m.sums, m.run_id, m.tenant "
    "FROM tenantctl.move m";

TenantMove move_of(const pq::Row& row) {
  const auto text = [&row](int column) { return std::string(row.text(column)); };
  return {.tenant = text(11),
          .state = text(0),
          .stage = stage_of(row.text(1)),
          .source = {.isolation = text(2), .schema = text(3), .database = text(4)},
          .target = {.isolation = text(5), .schema = text(6), .database = text(7)},
          .mark = text(8),
          .sums = text(9),
          .run_id = text(10)};
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
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::string(select_moves),
                      .on_row = [&moves](const pq::Row& row) { moves.push_back(move_of(row)); }});
  components_.read(move_component(), std::move(messages));
  return moves;
}

// The lock waits for a transaction that settles it, whose client may be gone.
std::optional<TenantMove> TenantMoves::find(const std::string& tenant) {
  std::optional<TenantMove> found;
  if (components_.version_of(move_component()) == 0) {
    return found;
  }
  std::vector<pq::Message> messages;
  messages.push_back({.sql = fmt::format("{} WHERE m.tenant = $1 FOR UPDATE", select_moves),
                      .values = {tenant},
                      .on_row = [&found](const pq::Row& row) { found = move_of(row); }});
  components_.write(move_component(), std::move(messages));
  return found;
}

pq::Message TenantMoves::try_lock(const std::string& tenant, bool& is_locked) {
  return {.sql = fmt::format("SELECT pg_catalog.pg_try_advisory_lock({}, pg_catalog.hashtext($1))",
                             move_lock_class),
          .values = {tenant},
          .on_row = [&is_locked](const pq::Row& row) { is_locked = row.text(0) == "t"; }};
}

void TenantMoves::begin(const TenantMove& move) {
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "INSERT INTO tenantctl.move (tenant, tenant_state, stage, from_isolation, "
              "from_schema, from_database, to_isolation, to_schema, to_database, mark, run_id) "
              "VALUES ($1, $2, 'copying', $3, $4, $5, $6, $7, $8, $9, $10)",
       .values = {move.tenant, move.state, move.source.isolation, move.source.schema,
                  null_if_empty(move.source.database), move.target.isolation, move.target.schema,
                  null_if_empty(move.target.database), move.mark, move.run_id}});
  components_.write(move_component(), std::move(messages));
}

bool TenantMoves::close(const TenantMove& move) {
  bool is_closed = false;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "UPDATE tenantctl.tenant SET state = 'moving' WHERE id = $1 "
                             "AND state IN ($2, 'moving') RETURNING true",
                      .values = {move.tenant, move.state},
                      .on_row = [&is_closed](const pq::Row& /*row*/) { is_closed = true; }});
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
