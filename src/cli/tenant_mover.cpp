#include "cli/tenant_mover.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/database_admin.h"
#include "cli/move_transactions.h"
#include "cli/resident_gates.h"
#include "cli/signals.h"
#include "cli/tenant_databases.h"
#include "cli/tenants.h"
#include "pq/transaction.h"
#include "tenant/gate.h"

namespace tenantctl::cli {

TenantMover::TenantMover(const Context& context, Session& session, const Folders& folders,
                         const MoveOptions& options)
    : context_(context), session_(session), folders_(folders), options_(options) {}

TenantMoves TenantMover::moves() {
  return {session_.pipeline(), context_.settings.owners, context_.settings.answer_timeout};
}

CopiedTenant TenantMover::copied(const std::string& id) const {
  return {.id = id,
          .column = options_.tables.tenant_column,
          .common = options_.tables.common,
          .path_behind = path_text(path_behind(context_.settings))};
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

void TenantMover::lock(const RegisteredTenant& tenant) {
  bool is_locked = false;
  std::vector<pq::Message> messages;
  messages.push_back(TenantMoves::try_lock(tenant.id, is_locked));
  pq::run_transaction(session_.pipeline(), std::move(messages), pq::Access::read_only,
                      session_.deadline());
  if (!is_locked) {
    throw UnavailableError(fmt::format("another run is moving tenant {}", tenant.slug),
                           "Wait until it ends.");
  }
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

std::vector<TableSum> TenantMover::carry(const RegisteredTenant& tenant, const TenantMove& move) {
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
                  {transactions.of(move.target), target, move.target.is_home()}, copied(tenant.id),
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
  RegisteredTenant tenant = find(name);
  lock(tenant);
  if (take_up(tenant))
    tenant = find(name);
  const std::vector<std::string> movable{"ready", "suspended", "archived"};
  if (std::ranges::count(movable, tenant.state) == 0) {
    throw UsageError(fmt::format("tenant {} is {}", tenant.slug, tenant.state),
                     "Who is ready, suspended or archived can be moved.");
  }
  TenantMove move{.tenant = tenant.id,
                  .state = tenant.state,
                  .stage = TenantMove::Stage::copying,
                  .source = place_of_tenant(tenant),
                  .target = target_of(tenant),
                  .mark = {},
                  .sums = {},
                  .run_id = session_.run_id()};
  check_free(move.target);
  check_roles(tenant, move.target);
  move.mark = mark_of(move.source);
  if (move.target.is_home()) {
    mark_of(move.target);
    check_shapes(move);
  }
  check_source(shape_of(move.source), move.source, move.target);
  moves().install();
  moves().begin(move);
  try {
    watch_signals();
    provision(tenant, move);
    check_shapes(move);
    refuse_interrupted();
    close(move, move.source);
    std::vector<TableSum> sums = carry(tenant, move);
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

void TenantMover::check_sums(pq::OpenTransaction& transaction, const TenantMove& move,
                             const PlaceShape& shape, const MovePlace& place) {
  fix_settings(transaction, move.tenant);
  const CopiedTenant tenant = copied(move.tenant);
  const auto sums = read_sums({transaction, shape, place.is_home()}, tenant);
  std::vector<std::string> changed;
  for (const TableSum& before : parse_sums(move.sums)) {
    const bool is_everybodys = place.is_home() && tenant.is_common(before.table);
    if (!is_everybodys && std::ranges::count(sums, before) == 0)
      changed.push_back(before.table);
  }
  if (!changed.empty()) {
    throw Error(fmt::format("{} was written to since the move: {}", place_text(place),
                            first_lines(changed)),
                "Look at what stands there and carry over by hand what is to stay.");
  }
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
void TenantMover::check_untouched(const TenantMove& move) {
  if (!move.source.is_here()) {
    DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
    const auto found = admin.databases().find({move.source.database});
    if (found.empty() || !found.front().takes_connections)
      return;
  }
  if (move.source.is_home() && recorded_mark(move.source) != move.mark)
    return;
  const PlaceShape shape = shape_of(move.source);
  SiteSession site(connection_to(move.source));
  pq::OpenTransaction transaction(site.pipeline(), MoveTransactions::patience);
  check_sums(transaction, move, shape, move.source);
  transaction.commit();
}

// Only if nothing would be lost. The tenant lives in the source when this is committed.
void TenantMover::go_back(const TenantMove& move) {
  std::optional<pq::ConnectOptions> away;
  if (!move.target.is_here())
    away = connection_to(move.target);
  try {
    close(move, move.target);
    MoveTransactions transactions(connection_to({}), away);
    const PlaceShape shape = shape_of(move.target);
    shut(move.target, transactions);
    transactions.begin();
    check_sums(transactions.of(move.target), move, shape, move.target);
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
  const RegisteredTenant tenant = find(name);
  lock(tenant);
  const auto move = moves().find(tenant.id);
  if (!move || move->stage == TenantMove::Stage::copying ||
      move->stage == TenantMove::Stage::undoing) {
    throw UsageError(
        fmt::format("tenant {} has no move to confirm", tenant.slug),
        move ? "What is left of one is cleared up by --undo, or by moving again." : "");
  }
  if (move->stage == TenantMove::Stage::moved) {
    check_standing(move->target);
    check_untouched(*move);
  }
  moves().reopen(*move);
  moves().set_stage(*move, TenantMove::Stage::confirming);
  clear(*move, move->source);
  moves().forget(*move);
  return {.tenant = tenant.slug,
          .action = "confirmed",
          .source = move->source,
          .target = move->target,
          .tables = parse_sums(move->sums)};
}

MoveResult TenantMover::undo(const std::string& name) {
  const RegisteredTenant tenant = find(name);
  lock(tenant);
  const auto move = moves().find(tenant.id);
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
  for (const MovePlace& place : {move->source, move->target}) {
    const bool is_hidden = place == move->source && !place.is_home();
    if (!is_hidden && recorded_mark(place) != move->mark) {
      throw UsageError(
          fmt::format("{} was upgraded or downgraded since the move", place_text(place)),
          "The way back is a move of its own, when this one is confirmed.");
    }
  }
  go_back(*move);
  clear(*move, move->target);
  moves().forget(*move);
  return result;
}

void refuse_moving(const Context& context, Session& session,
                   const std::vector<std::string>& names) {
  TenantRegistry registry = tenant_registry(context, session);
  if (!registry.is_installed())
    return;
  TenantMoves moves(session.pipeline(), context.settings.owners, context.settings.answer_timeout);
  const std::vector<TenantMove> all = moves.all();
  if (all.empty())
    return;
  const std::vector<RegisteredTenant> tenants = registry.find(names);
  for (const TenantMove& move : all) {
    const auto is_named = [&names](const MovePlace& place) {
      return place.is_here() && std::ranges::count(names, place.schema) > 0;
    };
    const auto tenant = std::ranges::find(tenants, move.tenant, &RegisteredTenant::id);
    if (tenant == tenants.end() && !is_named(move.source) && !is_named(move.target))
      continue;
    throw UsageError(
        fmt::format("{} is moving from {} to {}, or has moved and is not confirmed",
                    tenant == tenants.end() ? "a tenant" : "tenant " + tenant->slug,
                    place_text(move.source), place_text(move.target)),
        "tenantctl tenant move NAME --confirm or --undo ends that. Nothing was changed.");
  }
}

void refuse_kept(const Context& context, const std::vector<std::string>& schemas) {
  Session session(context);
  refuse_moving(context, session, schemas);
}

}  // namespace tenantctl::cli
