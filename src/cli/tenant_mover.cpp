#include "cli/tenant_mover.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "base/text.h"
#include "catalog/open_sessions.h"
#include "catalog/row_eraser.h"
#include "cli/resident_gates.h"
#include "cli/tenant_databases.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "pq/transaction.h"
#include "revision/target.h"
#include "rollout/site_visits.h"
#include "rollout/standing.h"
#include "tenant/gate.h"

namespace tenantctl::cli {
namespace {

using namespace std::chrono_literals;

// A table is as big as it is; a connection that died is noticed by TCP.
constexpr std::chrono::milliseconds copy_patience = 24h;

// No query that looks for tenants finds the schema that a tenant has left.
constexpr std::string_view kept_version_table = "tenantctl_kept_version";

MovePlace place_of_tenant(const RegisteredTenant& tenant) {
  return {.isolation = tenant.isolation, .schema = tenant.schema, .database = tenant.database};
}

std::string move_comment(const TenantMove& move) { return "tenantctl move " + move.tenant; }

std::string rename_table(const std::string& schema, std::string_view from, std::string_view to) {
  return fmt::format("ALTER TABLE IF EXISTS {}.{} RENAME TO {}", quote_identifier(schema),
                     quote_identifier(from), quote_identifier(to));
}

std::string first_lines(const std::vector<std::string>& lines) {
  constexpr std::size_t shown = 10;
  std::vector<std::string> first(
      lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(std::min(shown, lines.size())));
  for (std::string& line : first)
    line = escaped_name(line);
  return fmt::format(
      "{}{}", fmt::join(first, "; "),
      lines.size() > shown ? fmt::format("; and {} more", lines.size() - shown) : "");
}

// Up to where rows are copied; from there on a signal ends the process, and the next run clears up.
void refuse_interrupted() {
  if (signal_count() > 0)
    throw InterruptedError("interrupted", "The tenant stays where it was.");
}

}  // namespace

/// Both places of a move, each in a transaction; where they stand in one database, in the same.
class MoveTransactions {
 public:
  MoveTransactions(const pq::ConnectOptions& here, const std::optional<pq::ConnectOptions>& away)
      : here_session_(here) {
    if (away)
      away_session_ = std::make_unique<SiteSession>(*away);
  }

  SiteSession& session_of(const MovePlace& place) {
    return place.is_here() ? here_session_ : *away_session_;
  }

  void begin() {
    here_ = std::make_unique<pq::OpenTransaction>(here_session_.pipeline(), copy_patience);
    if (away_session_ != nullptr)
      away_ = std::make_unique<pq::OpenTransaction>(away_session_->pipeline(), copy_patience);
  }

  pq::OpenTransaction& here() { return *here_; }
  pq::OpenTransaction& of(const MovePlace& place) { return place.is_here() ? *here_ : *away_; }

  /// The other database first: what it has counts for nothing until the registry says so.
  void commit() {
    if (away_ != nullptr)
      away_->commit();
    here_->commit();
  }

 private:
  SiteSession here_session_;
  std::unique_ptr<SiteSession> away_session_;
  std::unique_ptr<pq::OpenTransaction> here_;
  std::unique_ptr<pq::OpenTransaction> away_;
};

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

MovePlace TenantMover::home_of(const std::string& asked) {
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context_, session_).all()) {
    if (place.is_home() && place.is_ready && (asked.empty() || place.schema == asked))
      homes.push_back(place.schema);
  }
  if (homes.size() == 1)
    return {.isolation = "rows", .schema = homes.front(), .database = {}};
  throw UsageError(homes.empty() ? "there is no such home of shared rows in this database"
                                 : fmt::format("there are several homes of shared rows: {}",
                                               fmt::join(homes, ", ")),
                   homes.empty() ? "tenantctl tenant create NAME --isolation rows --home SCHEMA "
                                   "makes one."
                                 : "Name one with --home.");
}

MovePlace TenantMover::target_of(const RegisteredTenant& tenant) {
  if (options_.to == tenant.isolation) {
    throw UsageError(fmt::format("tenant {} lives in {} already", tenant.slug,
                                 place_text(place_of_tenant(tenant))),
                     "Nothing was moved.");
  }
  if (options_.to == "rows")
    return home_of(options_.home);
  if (options_.to == "database") {
    const std::string name = options_.prefix + tenant.slug;
    SchemaName::create(options_.database_schema);
    if (name.size() > SchemaName::max_bytes) {
      throw UsageError(fmt::format("the database's name {} is longer than {} bytes", name,
                                   SchemaName::max_bytes),
                       "PostgreSQL would cut it; use a shorter --database-prefix.");
    }
    return {.isolation = "database", .schema = options_.database_schema, .database = name};
  }
  std::string schema = options_.schema.empty() ? tenant.slug : options_.schema;
  if (options_.schema.empty())
    std::ranges::replace(schema, '-', '_');
  SchemaName::create(schema);
  return {.isolation = "schema", .schema = schema, .database = {}};
}

void TenantMover::check_free(const MovePlace& place) {
  if (place.is_home())
    return;
  if (!place.is_here()) {
    DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
    if (!admin.databases().find({place.database}).empty()) {
      throw UsageError(fmt::format("database {} is there already", place.database),
                       "Use another --database-prefix. Nothing was moved.");
    }
    return;
  }
  const Fleet fleet = session_.schemas({place.schema});
  const bool is_free = fleet.schemas.front().state == FoundSchema::State::missing &&
                       place.schema != context_.settings.shared_schema;
  if (!is_free) {
    throw UsageError(fmt::format("schema {} is there already", place.schema),
                     "Name another one with --to-schema. Nothing was moved.");
  }
}

void TenantMover::check_roles(const RegisteredTenant& tenant, const MovePlace& target) {
  if (tenant.runtime_role.empty() || target.isolation == "schema")
    return;
  RuntimeRoles roles = runtime_roles(context_, session_);
  const bool is_own = tenant.runtime_role == RuntimeRoles::name_of(roles.database(), tenant.schema);
  if (target.is_home() && !is_own)
    return;
  throw UsageError(
      fmt::format("tenant {} works as role {}, which {} cannot have", tenant.slug,
                  escaped_name(tenant.runtime_role), place_text(target)),
      "Take it out of the tenant's row first: UPDATE tenantctl.tenant SET runtime_role = NULL.");
}

// Where a place stands: that of a tenant must be the folder's head, as what is made will be.
std::string TenantMover::mark_of(const MovePlace& place) {
  SiteSession site(connection_to(place));
  const Fleet fleet = read_schemas(site.pipeline(), fleet_query(context_.settings), {place.schema},
                                   session_.deadline());
  if (fleet.schemas.front().state != FoundSchema::State::ours) {
    throw UsageError(fmt::format("{} has no version table of ours", place_text(place)),
                     "tenantctl registry check compares registry and schemas.");
  }
  const VersionTable table = version_table(place, context_.settings.version_table);
  const History history = read_history(site.pipeline(), table, session_.deadline());
  const UsageError behind(fmt::format("{} is not at the folder's head", place_text(place)),
                          "Upgrade it first: what a tenant moves into is made at head.");
  try {
    if (!plan_upgrade(folders_.tenant, history, Target::head(),
                      {.allow_out_of_order = false, .missing = Missing::nothing})
             .steps.empty())
      throw UsageError(behind);
  } catch (const HistoryError& error) {
    throw UsageError(fmt::format("{}: {}", place_text(place), error.what()), error.hint());
  }
  return Mark::of(Scope::tenant, history).text();
}

// The mark that stands there, as it is; nothing where there is no version table.
std::optional<std::string> TenantMover::recorded_mark(const MovePlace& place) {
  SiteSession site(connection_to(place));
  std::optional<std::string> comment;
  std::vector<pq::Message> messages;
  messages.push_back(version_table(place, context_.settings.version_table).read_comment(comment));
  pq::run_transaction(site.pipeline(), std::move(messages), pq::Access::read_only,
                      session_.deadline());
  return comment;
}

PlaceShape TenantMover::shape_of(const MovePlace& place) {
  SiteSession site(connection_to(place));
  return PlaceShape::read(site.pipeline(), place.schema,
                          {context_.settings.version_table, std::string(kept_version_table)},
                          session_.deadline());
}

// What would be lost, or would let somebody in, is told before anything is made.
void TenantMover::check_source(const PlaceShape& shape, const MovePlace& source,
                               const MovePlace& target) {
  if (!source.is_home() && !shape.incoming.empty()) {
    throw UsageError(fmt::format("other schemas depend on {}: {}", place_text(source),
                                 first_lines(shape.incoming)),
                     "They would go with it; take them away first.");
  }
  if (!source.is_home() && !target.is_home())
    return;
  std::vector<std::string> open;
  for (const PlaceTable& table : shape.tables) {
    if (!table.has_column(options_.tables.tenant_column) &&
        std::ranges::count(options_.tables.common, table.name) == 0)
      open.push_back(table.name);
  }
  if (!open.empty()) {
    throw UsageError(
        fmt::format("whose rows these tables hold cannot be told, they have no column {}: {}",
                    escaped_name(options_.tables.tenant_column), first_lines(open)),
        "tenantctl rows protect gives them one; --common TABLE says that a table is the same for "
        "all. Nothing was moved.");
  }
}

void TenantMover::check_shapes(const TenantMove& move) {
  const PlaceShape source = shape_of(move.source);
  const PlaceShape target = shape_of(move.target);
  const auto differences = shape_differences(source, target, !move.source.is_home());
  if (!differences.empty()) {
    throw UsageError(
        fmt::format("{} and {} stand at the same revision, but are not alike: {}",
                    place_text(move.source), place_text(move.target), first_lines(differences)),
        "What no revision made is not moved: put it into one, or take it away.");
  }
  for (const PlaceShape& shape : {source, target}) {
    const bool is_home = (&shape == &source ? move.source : move.target).is_home();
    if (is_home && !shape.barriers.empty()) {
      throw UsageError(fmt::format("rows of {} may be hidden from this role: {}", shape.schema,
                                   first_lines(shape.barriers)),
                       "Move as a role with BYPASSRLS.");
    }
  }
  if (!move.target.is_home())
    return;
  std::vector<std::string> firing;
  for (const PlaceTrigger& trigger : target.triggers) {
    if (trigger.fires_on_insert && std::ranges::count(options_.tables.common, trigger.table) == 0)
      firing.push_back(fmt::format("{} of {}", trigger.name, trigger.table));
  }
  if (!firing.empty()) {
    throw UsageError(
        fmt::format("triggers of {} would fire for rows that are only moved: {}",
                    place_text(move.target), first_lines(firing)),
        "To disable them would lock out the home's other tenants. Take them away for the move.");
  }
}

void TenantMover::make_database(const RegisteredTenant& tenant, const TenantMove& move) {
  {
    DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
    admin.databases().create(move.target.database, "");
    admin.databases().comment(move.target.database, move_comment(move));
    admin.databases().open(move.target.database);
  }
  RegisteredTenant there = tenant;
  there.schema = move.target.schema;
  there.database = move.target.database;
  const ResidentGates gates = settle_residents(context_, session_, {there});
  if (!gates.failed.empty())
    throw Error("the gate in the new database could not be made: " + gates.failed.front().message);
  const std::vector<NewTenant> itself{{.slug = tenant.slug,
                                       .name = tenant.name,
                                       .schema = move.target.schema,
                                       .database = move.target.database}};
  migrate_quietly(context_, session_, folders_, migration_in(folders_, itself));
}

void TenantMover::provision(const RegisteredTenant& tenant, const TenantMove& move) {
  if (!move.target.is_here()) {
    make_database(tenant, move);
    return;
  }
  if (!move.target.is_home()) {
    Migration migration;
    migration.tenants = true;
    migration.create = Missing::schema;
    migration.schemas = {move.target.schema};
    migration.plan = [](const RevisionFolder& folder, const History& history, Missing missing) {
      if (missing != Missing::schema)
        throw HistoryError("a schema of that name is there already", "Nothing was moved.");
      return plan_upgrade(folder, history, Target::head(),
                          {.allow_out_of_order = false, .missing = missing});
    };
    migrate_quietly(context_, session_, folders_, migration);
  }
  if (!tenant.runtime_role.empty())
    runtime_roles(context_, session_).grant(tenant.runtime_role, move.target.schema);
}

void TenantMover::wait_for_transactions() {
  const pq::Deadline until = pq::Clock::now() + context_.settings.lock_wait;
  std::vector<OpenSession> awaited =
      read_open_transactions(session_.pipeline(), session_.deadline());
  while (!awaited.empty()) {
    refuse_interrupted();
    if (pq::Clock::now() >= until) {
      throw Error(fmt::format("{} open that may have entered the tenant before it was closed: {}",
                              counted(awaited.size(), "transaction is", "transactions are"),
                              named_sessions(awaited)),
                  "End them, or give more time with --lock-wait. The tenant stays where it was.");
    }
    std::this_thread::sleep_for(100ms);
    const auto open = read_open_transactions(session_.pipeline(), session_.deadline());
    std::erase_if(awaited, [&open](const OpenSession& one) {
      return std::ranges::count(open, one.transaction, &OpenSession::transaction) == 0;
    });
  }
}

// An idle session could begin to write again, and nothing in its database would refuse it.
void TenantMover::wait_for_sessions(const std::string& database, int but) {
  const pq::Deadline until = pq::Clock::now() + context_.settings.lock_wait;
  const auto connected = [&] {
    return read_connected(session_.pipeline(), database, {but}, session_.deadline());
  };
  for (auto left = connected(); !left.empty(); left = connected()) {
    refuse_interrupted();
    if (options_.force)
      end_sessions(session_.pipeline(), left, session_.deadline());
    if (pq::Clock::now() >= until) {
      throw Error(fmt::format("{} connected to database {}: {}",
                              counted(left.size(), "session is", "sessions are"),
                              escaped_name(database), named_sessions(left)),
                  "End them, or say --force. The tenant stays where it was.");
    }
    std::this_thread::sleep_for(100ms);
  }
}

void TenantMover::close(const TenantMove& move, const MovePlace& place) {
  if (!moves().close(move)) {
    throw Error("the tenant's state was changed meanwhile",
                "tenantctl tenant list shows what it is now. The tenant stays where it was.");
  }
  if (place.is_here())
    wait_for_transactions();
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
                  copy_patience);
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

void TenantMover::drop_schema(const TenantMove& move, const MovePlace& place) {
  std::vector<pq::Message> show;
  show.push_back(
      {.sql = rename_table(place.schema, kept_version_table, context_.settings.version_table)});
  Fleet fleet = session_.schemas({place.schema});
  if (fleet.schemas.front().state == FoundSchema::State::missing)
    return;
  pq::run_transaction(session_.pipeline(), std::move(show), pq::Access::read_write,
                      session_.deadline());
  fleet = session_.schemas({place.schema});
  const VersionTable table = version_table(place, context_.settings.version_table);
  const bool is_ours = fleet.schemas.front().state == FoundSchema::State::ours;
  const bool is_made_here = place == move.target;
  const auto is_of_move = [&move](const AppliedRevision& row) { return row.run_id == move.run_id; };
  if (!is_ours || (is_made_here && !std::ranges::all_of(read_history(session_.pipeline(), table,
                                                                     session_.deadline()),
                                                        is_of_move))) {
    throw Error(fmt::format("schema {} is not what the move made", escaped_name(place.schema)),
                "Somebody else made or changed it; look at it, and drop it by hand.");
  }
  SchemaDrop(session_.pipeline(), table, context_.settings.version_table)
      .run(0, session_.deadline());
}

void TenantMover::drop_database(const TenantMove& move, const MovePlace& place) {
  DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
  const auto found = admin.databases().find({place.database});
  if (found.empty())
    return;
  // One that nobody was let into yet may have been killed before it said whose it is.
  const bool is_ours = found.front().owner == admin.owner() &&
                       (place == move.source || !found.front().takes_connections ||
                        found.front().comment == move_comment(move));
  if (!is_ours) {
    throw Error(fmt::format("database {} is not what the move made", escaped_name(place.database)),
                "Somebody else made or changed it; look at it, and drop it by hand.");
  }
  admin.databases().drop(place.database, true);
}

void TenantMover::erase_rows(const TenantMove& move, const MovePlace& place) {
  RowEraser(session_.pipeline(),
            {.id = move.tenant, .home = place.schema, .column = options_.tables.tenant_column},
            context_.settings.answer_timeout)
      .run_alone();
}

// Removes what the tenant has in a place where it does not live.
void TenantMover::clear(const TenantMove& move, const MovePlace& place) {
  if (place.is_home()) {
    erase_rows(move, place);
  } else if (place.is_here()) {
    drop_schema(move, place);
  } else {
    drop_database(move, place);
  }
  // The door of a database that the tenant goes on living in was shut.
  if (place != move.source)
    open(move.source);
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
  pq::OpenTransaction transaction(site.pipeline(), copy_patience);
  check_sums(transaction, move, shape, move.source);
  transaction.commit();
}

void TenantMover::shut(const MovePlace& place, MoveTransactions& transactions) {
  if (place.is_here())
    return;
  DatabaseAdmin(context_, session_, {}, options_.admin_url).databases().shut(place.database);
  wait_for_sessions(place.database,
                    transactions.session_of(place).pipeline().connection().backend_pid());
}

void TenantMover::open(const MovePlace& place) {
  if (!place.is_here())
    DatabaseAdmin(context_, session_, {}, options_.admin_url).databases().open(place.database);
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
  if (move->stage == TenantMove::Stage::moved)
    check_untouched(*move);
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
        "tenantctl tenant move NAME --confirm or --undo ends that. Nothing was dropped.");
  }
}

}  // namespace tenantctl::cli
