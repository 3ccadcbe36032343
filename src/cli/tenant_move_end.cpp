#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "catalog/row_references.h"
#include "cli/database_admin.h"
#include "cli/move_transactions.h"
#include "cli/tenant_mover.h"
#include "pq/stop_point.h"
#include "pq/transaction.h"

namespace tenantctl::cli {

// Tables that are not as they were copied.
std::vector<std::string> TenantMover::changes(pq::OpenTransaction& transaction,
                                              const TenantMove& move, const PlaceShape& shape,
                                              const MovePlace& place) {
  fix_settings(transaction, move.tenant);
  const CopiedTenant tenant = copied(move);
  const auto sums = read_sums({transaction, shape, place.is_home()}, tenant);
  std::vector<std::string> changed;
  for (const TableSum& before : parse_sums(move.sums)) {
    const bool is_everybodys = place.is_home() && tenant.is_common(before.table);
    if (is_everybodys || std::ranges::count(sums, before) > 0)
      continue;
    const auto now = std::ranges::find(sums, before.table, &TableSum::table);
    changed.push_back(now == sums.end() ? before.table + " (gone)"
                                        : fmt::format("{} ({} then, {} now)", before.table,
                                                      counted(before.rows, "row"), now->rows));
  }
  return changed;
}

// What is kept may be all that there is of the tenant.
void TenantMover::check_standing(const MovePlace& target) {
  bool stands = true;
  if (!target.is_here()) {
    DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
    stands = !admin.databases().find({target.database}).empty();
  }
  if (!stands || !recorded_mark(target)) {
    throw Error(
        fmt::format("{} is not there any more: what is kept is all that is left of the tenant",
                    place_text(target)),
        "Nothing was dropped. Restore the target, or copy what is kept by hand.");
  }
}

// Nobody could write where the door was shut. A home goes on with its other tenants, and upgrades:
// behind one, rows cannot be told by their hashes any more.
std::vector<std::string> TenantMover::changes_in_source(const TenantMove& move) {
  if (!is_open(move.source))
    return {};
  if (move.source.is_home() && recorded_mark(move.source) != move.mark)
    return {};
  const PlaceShape shape = shape_of(move.source);
  SiteSession site(connection_to(move.source));
  pq::OpenTransaction transaction(site.pipeline(), MoveTransactions::patience);
  std::vector<std::string> changed = changes(transaction, move, shape, move.source);
  transaction.commit();
  return changed;
}

// The tenant goes on where it lives now: what somebody wrote into what it left goes with that.
void TenantMover::agree_to_discard(const TenantMove& move,
                                   const std::vector<std::string>& changed) {
  if (changed.empty() || options_.discard_writes)
    return;
  const std::string written = fmt::format("{} was written to since the move: {}",
                                          place_text(move.source), first_lines(changed));
  if (!is_terminal_in() || !is_terminal_err()) {
    throw Error(written,
                fmt::format("Look at what stands there and carry over by hand what is to stay; "
                            "then --confirm --discard-writes drops it. {} is not changed by that. "
                            "Nothing was dropped.",
                            place_text(move.target)));
  }
  const bool is_agreed =
      cli::confirm(context_, fmt::format("{}. The tenant goes on with what {} has, and what was "
                                         "written there is lost. Drop it all the same?",
                                         written, place_text(move.target)));
  if (!is_agreed)
    throw UsageError("not confirmed: nothing was dropped");
}

// Foreign keys and views from elsewhere would go along, or stop what is dropped half-way.
void TenantMover::check_unneeded(const TenantMove& move, const MovePlace& place,
                                 std::string_view advice) {
  if (!is_open(place))
    return;
  const std::vector<std::string> needing =
      place.is_home() ? read_row_references(session_.pipeline(), erased(move, place),
                                            pq::Clock::now() + MoveTransactions::patience)
                      : shape_of(place).incoming;
  if (needing.empty())
    return;
  throw UsageError(
      fmt::format("{} depend on {}: {}", place.is_home() ? "rows of others" : "other schemas",
                  place_text(place), first_lines(needing)),
      fmt::format("They would go with it; take them away first. {}", advice));
}

void TenantMover::check_marks(const TenantMove& move) {
  for (const MovePlace& place : {move.source, move.target}) {
    const bool is_hidden = place == move.source && !place.is_home();
    if (!is_hidden && recorded_mark(place) != move.mark) {
      throw UsageError(
          fmt::format("{} was upgraded or downgraded since the move", place_text(place)),
          "The way back is a move of its own, when this one is confirmed.");
    }
  }
}

// Only if nothing would be lost. The tenant lives in the source when this is committed.
void TenantMover::go_back(TenantMove& move) {
  std::optional<pq::ConnectOptions> away;
  if (!move.target.is_here())
    away = connection_to(move.target);
  try {
    close(move, move.target);
    MoveTransactions transactions(connection_to({}), away);
    const PlaceShape shape = shape_of(move.target);
    shut(move.target, transactions);
    transactions.begin();
    const auto changed = changes(transactions.of(move.target), move, shape, move.target);
    if (!changed.empty()) {
      throw Error(fmt::format("{} was written to since the move: {}", place_text(move.target),
                              first_lines(changed)),
                  "What was written there would be lost: carry it over by hand, or --confirm.");
    }
    std::vector<pq::Message> show;
    show.push_back({.sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', "
                           "true)"});
    if (move.source.isolation == "schema") {
      show.push_back({.sql = rename_table(move.source.schema, kept_version_table,
                                          context_.settings.version_table)});
    }
    // With the registry's word, so that nobody finds the tenant's door shut behind a kill.
    if (!move.source.is_here())
      show.push_back(Databases::reopening(move.source.database));
    transactions.here().run(std::move(show));
    moves().settle(transactions.here(), move, move.source, TenantMove::Stage::undoing, move.sums);
    transactions.commit();
  } catch (const Error&) {
    session_.revive();
    const auto now = moves().find(move.tenant);
    if (now && now->stage == TenantMove::Stage::undoing)
      return;
    open(move.target);
    moves().reopen(move);
    throw;
  }
}

MoveResult TenantMover::confirm(const std::string& name) {
  const RegisteredTenant tenant = lock(name);
  const auto move = moves().find(tenant.id);
  if (!move || move->stage == TenantMove::Stage::copying ||
      move->stage == TenantMove::Stage::undoing) {
    throw UsageError(
        fmt::format("tenant {} has no move to confirm", tenant.slug),
        move ? "What is left of one is cleared up by --undo, or by moving again." : "");
  }
  std::vector<std::string> changed;
  if (move->stage == TenantMove::Stage::moved) {
    // An undo that was killed may have shut it.
    open(move->target);
    check_standing(move->target);
    check_unneeded(*move, move->source, "Nothing was dropped; --undo is possible still.");
    changed = changes_in_source(*move);
    agree_to_discard(*move, changed);
  }
  moves().reopen(*move);
  moves().set_stage(*move, TenantMove::Stage::confirming);
  pq::stop_point(pq::StopPoint::move_confirming, "", nullptr);
  clear(*move, move->source);
  pq::stop_point(pq::StopPoint::move_emptied, "", nullptr);
  moves().forget(*move);
  return {.tenant = tenant.slug,
          .action = "confirmed",
          .source = move->source,
          .target = move->target,
          .tables = parse_sums(move->sums),
          .discarded = std::move(changed)};
}

MoveResult TenantMover::undo(const std::string& name) {
  const RegisteredTenant tenant = lock(name);
  auto move = moves().find(tenant.id);
  if (!move || move->stage == TenantMove::Stage::confirming) {
    throw UsageError(fmt::format("tenant {} has no move to undo", tenant.slug),
                     move ? "Its source is half dropped: --confirm finishes that." : "");
  }
  MoveResult result{.tenant = tenant.slug,
                    .action = move->stage == TenantMove::Stage::copying ? "cleared" : "undone",
                    .source = move->source,
                    .target = move->target,
                    .tables = parse_sums(move->sums)};
  if (move->stage != TenantMove::Stage::moved) {
    clear(*move, move->target);
    moves().forget(*move);
    return result;
  }
  // An undo that was killed may have shut it.
  open(move->target);
  check_marks(*move);
  check_unneeded(*move, move->target, "Nothing was changed.");
  go_back(*move);
  pq::stop_point(pq::StopPoint::move_undoing, "", nullptr);
  clear(*move, move->target);
  pq::stop_point(pq::StopPoint::move_emptied, "", nullptr);
  moves().forget(*move);
  return result;
}

}  // namespace tenantctl::cli
