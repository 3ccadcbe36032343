#include "cli/tenant_mover.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/move_transactions.h"
#include "cli/resident_gates.h"
#include "cli/signals.h"
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

SeedTable TenantMover::seed_table(const MovePlace& place) const {
  TableOptions options = table_options(context_.settings, session_.run_id());
  options.readers = session_.status_roles();
  return {SchemaName::existing(place.schema), std::move(options)};
}

RegisteredTenant TenantMover::find(const std::string& name) {
  TenantRegistry registry = tenant_registry(context_, session_);
  if (!registry.is_installed()) {
    throw UsageError("there is no registry in this database: nobody knows where a tenant lives",
                     "tenantctl registry init --adopt makes it and registers who is there.");
  }
  std::vector<RegisteredTenant> found = registry.find_own({name});
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
  carry_seeds(move, transactions);
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

// What ran there is not to run again here.
void TenantMover::carry_seeds(const TenantMove& move, MoveTransactions& transactions) {
  const auto key = [&move](const MovePlace& place) { return place.is_home() ? move.tenant : ""; };
  const auto look = [&](const MovePlace& place, const SeedTable& table) {
    SeedTable::Found found = SeedTable::Found::none;
    std::vector<pq::Message> messages;
    messages.push_back(table.look(found));
    transactions.of(place).run(std::move(messages));
    return found;
  };
  const SeedTable source = seed_table(move.source);
  const SeedTable target = seed_table(move.target);
  if (look(move.source, source) != SeedTable::Found::ours)
    return;
  std::vector<AppliedSeed> seeds;
  std::vector<pq::Message> question;
  question.push_back(source.read(key(move.source), seeds));
  transactions.of(move.source).run(std::move(question));
  if (seeds.empty())
    return;
  pq::OpenTransaction& there = transactions.of(move.target);
  switch (look(move.target, target)) {
    case SeedTable::Found::foreign:
      throw Error(fmt::format("table {} of {} is not ours alone", escaped_name(target.name()),
                              place_text(move.target)),
                  "Look at its owner, at triggers and rules; --owner names roles to trust.");
    case SeedTable::Found::none: {
      std::vector<std::string> grantees;
      there.run(target.create(grantees));
      auto rights = target.settle(grantees);
      if (!rights.empty())
        there.run(std::move(rights));
      break;
    }
    case SeedTable::Found::ours:
      break;
  }
  std::vector<pq::Message> records;
  for (const AppliedSeed& seed : seeds)
    records.push_back(target.insert(key(move.target), seed));
  there.run(std::move(records));
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

}  // namespace tenantctl::cli
