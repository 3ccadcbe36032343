#include "cli/tenant_mover.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "catalog/row_references.h"
#include "cli/database_admin.h"
#include "cli/move_transactions.h"
#include "cli/resident_gates.h"
#include "cli/signals.h"
#include "cli/tenant_databases.h"
#include "cli/tenants.h"
#include "pq/stop_point.h"
#include "pq/transaction.h"
#include "tenant/gate.h"
#include "tenant/tenant_lock.h"

namespace tenantctl::cli {

TenantMover::TenantMover(const Context& context, Session& session, const Folders& folders,
                         const MoveOptions& options)
    : context_(context), session_(session), folders_(folders), options_(options) {}

TenantMoves TenantMover::moves() {
  return {session_.pipeline(), context_.settings.owners, context_.settings.answer_timeout};
}

// Whatever the command line says now: rows are told apart as they were when they were copied.
MoveTables TenantMover::tables_of(const TenantMove& move) const {
  return move.tables.value_or(
      MoveTables{.tenant_column = options_.tables.tenant_column, .common = options_.tables.common});
}

CopiedTenant TenantMover::copied(const TenantMove& move) const {
  MoveTables tables = tables_of(move);
  return {.id = move.tenant,
          .column = std::move(tables.tenant_column),
          .common = std::move(tables.common),
          .path_behind = path_text(path_behind(context_.settings))};
}

ErasedTenant TenantMover::erased(const TenantMove& move, const MovePlace& home) const {
  return {.id = move.tenant, .home = home.schema, .column = tables_of(move).tenant_column};
}

pq::ConnectOptions TenantMover::connection_to(const MovePlace& place) const {
  return session_.connect_options(Site{.cluster = {}, .database = place.database});
}

VersionTable TenantMover::version_table(const MovePlace& place, const std::string& name) const {
  TableOptions options = table_options(context_.settings, session_.run_id());
  options.name = name;
  return {SchemaName::existing(place.schema), std::move(options)};
}

RegisteredTenant TenantMover::find(const std::string& name) {
  TenantRegistry registry = tenant_registry(context_, session_);
  if (!registry.is_installed()) {
    throw UsageError("there is no registry in this database: nobody knows where a tenant lives",
                     "tenantctl registry init --adopt makes it and registers who is there.");
  }
  std::vector<RegisteredTenant> found = registry.find({name});
  const auto at = std::ranges::find(found, name, &RegisteredTenant::slug);
  if (at == found.end()) {
    throw UsageError(fmt::format("no tenant \"{}\" is registered", escaped_name(name)),
                     "A tenant is moved by its slug: tenantctl tenant list shows all.");
  }
  if (!at->cluster.empty() || (at->isolation != "database" && !at->database.empty())) {
    throw UsageError(fmt::format("tenant {} lives on another server: {}", at->slug, at->place()),
                     "Tenants are moved within one server.");
  }
  return *at;
}

// What was read before the lock was ours may be over.
RegisteredTenant TenantMover::lock(const std::string& name) {
  const RegisteredTenant tenant = find(name);
  bool is_locked = false;
  std::vector<pq::Message> messages;
  messages.push_back(TenantLock::try_session(tenant.id, is_locked));
  pq::run_transaction(session_.pipeline(), std::move(messages), pq::Access::read_only,
                      session_.deadline());
  if (!is_locked) {
    throw UnavailableError(
        fmt::format("another run is moving, renaming or dropping tenant {}", tenant.slug),
        "Wait until it ends.");
  }
  RegisteredTenant now = find(name);
  if (now.id != tenant.id) {
    throw UnavailableError(fmt::format("tenant {} is another one since a moment ago", tenant.slug),
                           "Look at it, and run the command again.");
  }
  return now;
}

// What an earlier run left behind. True where it was only cleared up.
bool TenantMover::take_up(const RegisteredTenant& tenant) {
  const auto left = moves().find(tenant.id);
  if (!left)
    return false;
  switch (left->stage) {
    case TenantMove::Stage::copying:
    case TenantMove::Stage::undoing:
      clear(*left, left->target);
      moves().forget(*left);
      return true;
    case TenantMove::Stage::moved:
      throw UsageError(fmt::format("tenant {} has moved to {}, and {} is kept", tenant.slug,
                                   place_text(left->target), place_text(left->source)),
                       "--confirm drops what is kept, --undo goes back to it.");
    case TenantMove::Stage::confirming:
      break;
  }
  throw UsageError(
      fmt::format("{} of tenant {} is half dropped", place_text(left->source), tenant.slug),
      fmt::format("tenantctl tenant move {} --confirm finishes that.", tenant.slug));
}

std::vector<TableSum> TenantMover::carry(const TenantMove& move) {
  const PlaceShape source = shape_of(move.source);
  const PlaceShape target = shape_of(move.target);
  std::optional<pq::ConnectOptions> away;
  for (const MovePlace& place : {move.source, move.target}) {
    if (!place.is_here())
      away = connection_to(place);
  }
  MoveTransactions transactions(connection_to({}), away);
  shut(move.source, transactions);
  refuse_interrupted();
  leave_signals();
  transactions.begin();
  for (const MovePlace& place : {move.source, move.target}) {
    const VersionTable table = version_table(place, context_.settings.version_table);
    std::optional<std::string> comment;
    std::vector<pq::Message> messages;
    messages.push_back(table.lock());
    messages.push_back(table.read_comment(comment));
    transactions.of(place).run(std::move(messages));
    if (comment != move.mark) {
      throw Error(
          fmt::format("{} does not stand where it stood when the move began", place_text(place)),
          "Run the command again. The tenant stays where it was.");
    }
  }
  TenantCopy copy({transactions.of(move.source), source, move.source.is_home()},
                  {transactions.of(move.target), target, move.target.is_home()}, copied(move),
                  MoveTransactions::patience);
  std::vector<TableSum> sums = copy.run();
  if (move.source.isolation == "schema") {
    std::vector<pq::Message> hide;
    hide.push_back({.sql = rename_table(move.source.schema, context_.settings.version_table,
                                        kept_version_table)});
    transactions.here().run(std::move(hide));
  }
  moves().settle(transactions.here(), move, move.target, TenantMove::Stage::moved, sums_text(sums));
  transactions.commit();
  return sums;
}

// An answer that was lost may have been a COMMIT: then the tenant has moved, and that is returned.
std::optional<TenantMove> TenantMover::give_up(const TenantMove& move, const Error& error) {
  try {
    session_.revive();
    auto now = moves().find(move.tenant);
    if (now && now->stage == TenantMove::Stage::moved)
      return now;
    clear(move, move.target);
    moves().forget(move);
    return std::nullopt;
  } catch (const Error& second) {
    // A translation: why it was not done must still be told.
    throw Error(
        error.what(),
        fmt::format("And it could not be cleared up ({}): run the command again.", second.what()));
  }
}

MoveResult TenantMover::move(const std::string& name) {
  RegisteredTenant tenant = lock(name);
  if (take_up(tenant))
    tenant = find(name);
  const std::vector<std::string> movable{"ready", "suspended", "archived"};
  if (std::ranges::count(movable, tenant.state) == 0) {
    throw UsageError(fmt::format("tenant {} is {}", tenant.slug, tenant.state),
                     "Who is ready, suspended or archived can be moved.");
  }
  if (!tenant.renaming.empty()) {
    throw UsageError(fmt::format("a rename of tenant {} was begun: its database is to be called {}",
                                 tenant.slug, escaped_name(tenant.renaming)),
                     "tenantctl tenant rename, given again, finishes that. Nothing was moved.");
  }
  TenantMove move{.tenant = tenant.id,
                  .state = tenant.state,
                  .stage = TenantMove::Stage::copying,
                  .source = place_of_tenant(tenant),
                  .target = target_of(tenant),
                  .mark = {},
                  .sums = {},
                  .run_id = session_.run_id(),
                  .tables = MoveTables{.tenant_column = options_.tables.tenant_column,
                                       .common = options_.tables.common}};
  check_free(move.target);
  check_roles(tenant, move.target);
  move.mark = mark_of(move.source);
  if (move.target.is_home()) {
    mark_of(move.target);
    check_shapes(move);
  }
  check_source(shape_of(move.source), move.source, move.target);
  check_unneeded(move, move.source, "Nothing was moved.");
  moves().install();
  if (!moves().begin(move)) {
    throw Error(fmt::format("{} are being dropped", place_text(move.target)),
                "Name another home with --home. Nothing was moved.");
  }
  pq::stop_point(pq::StopPoint::move_begun, "", nullptr);
  try {
    watch_signals();
    provision(tenant, move);
    check_shapes(move);
    refuse_interrupted();
    close(move, move.source);
    pq::stop_point(pq::StopPoint::move_closed, "", nullptr);
    std::vector<TableSum> sums = carry(move);
    return {.tenant = tenant.slug,
            .action = "moved",
            .source = move.source,
            .target = move.target,
            .tables = std::move(sums)};
  } catch (const Error& error) {
    const auto now = give_up(move, error);
    if (!now)
      throw;
    return {.tenant = tenant.slug,
            .action = "moved",
            .source = move.source,
            .target = move.target,
            .tables = parse_sums(now->sums)};
  }
}

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
