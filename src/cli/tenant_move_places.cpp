#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/text.h"
#include "catalog/open_sessions.h"
#include "catalog/row_eraser.h"
#include "cli/database_admin.h"
#include "cli/move_transactions.h"
#include "cli/resident_gates.h"
#include "cli/signals.h"
#include "cli/tenant_databases.h"
#include "cli/tenant_mover.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "pq/transaction.h"
#include "revision/target.h"
#include "rollout/standing.h"

namespace tenantctl::cli {
namespace {

using namespace std::chrono_literals;

std::string move_comment(const TenantMove& move) { return "tenantctl move " + move.tenant; }

}  // namespace

std::string TenantMover::rename_table(const std::string& schema, std::string_view from,
                                      std::string_view to) {
  return fmt::format("ALTER TABLE IF EXISTS {}.{} RENAME TO {}", quote_identifier(schema),
                     quote_identifier(from), quote_identifier(to));
}

void TenantMover::refuse_interrupted() {
  if (signal_count() > 0)
    throw InterruptedError("interrupted", "The tenant stays where it was.");
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
  if (tenant.runtime_role.empty())
    return;
  SiteSession inside(connection_to(move.target));
  runtime_roles_there(context_, session_, inside.pipeline())
      .grant_inside(tenant.runtime_role, move.target.schema);
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
  if (tenant.runtime_role.empty())
    return;
  // One of its own comes into the group that may use the gate here: it may have had one of its own.
  RuntimeRoles roles = runtime_roles(context_, session_);
  if (roles.is_ours(tenant.runtime_role))
    roles.make(tenant.runtime_role, move.target.schema, {});
  else
    roles.grant(tenant.runtime_role, move.target.schema);
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

void TenantMover::close(TenantMove& move, const MovePlace& place) {
  if (!moves().close(move)) {
    throw Error("the tenant's state was changed meanwhile",
                "tenantctl tenant list shows what it is now. The tenant stays where it was.");
  }
  if (place.is_here())
    wait_for_transactions();
}

void TenantMover::shut(const MovePlace& place, MoveTransactions& transactions) {
  if (place.is_here())
    return;
  DatabaseAdmin(context_, session_, {}, options_.admin_url).databases().shut(place.database);
  wait_for_sessions(place.database,
                    transactions.session_of(place).pipeline().connection().backend_pid());
}

// One that is gone is nobody's to open.
void TenantMover::open(const MovePlace& place) {
  if (place.is_here())
    return;
  DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
  const auto found = admin.databases().find({place.database});
  if (!found.empty() && !found.front().takes_connections)
    admin.databases().open(place.database);
}

bool TenantMover::is_open(const MovePlace& place) {
  if (place.is_here())
    return true;
  DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
  const auto found = admin.databases().find({place.database});
  return !found.empty() && found.front().takes_connections;
}

bool TenantMover::is_registered(const std::string& schema) {
  const std::vector<RegisteredTenant> all = tenant_registry(context_, session_).all();
  return std::ranges::any_of(all, [&schema](const RegisteredTenant& one) {
    return one.database.empty() && one.cluster.empty() && one.schema == schema;
  });
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
  // Nobody had the name when the move began, and the row of the move keeps it: an upgrade of all
  // tenants may have gone over it since. Only a tenant who was registered there is somebody.
  const bool is_taken = place == move.target && is_registered(place.schema);
  if (!is_ours || is_taken) {
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
  RowEraser(session_.pipeline(), erased(move, place), context_.settings.answer_timeout).run_alone();
  forget_seeds(session_.pipeline(), seed_table(place), move.tenant, session_.deadline());
}

// Removes what the tenant has in a place where it does not live.
void TenantMover::clear(const TenantMove& move, const MovePlace& place) {
  // The door of a database that the tenant goes on living in was shut: it does not wait until all
  // the rest is gone.
  if (place != move.source)
    open(move.source);
  if (place.is_home()) {
    erase_rows(move, place);
  } else if (place.is_here()) {
    drop_schema(move, place);
  } else {
    drop_database(move, place);
  }
}

}  // namespace tenantctl::cli
