#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <ostream>
#include <sstream>
#include <string_view>
#include <thread>

#include "cli/migration.h"
#include "cli/options.h"
#include "cli/pool_roles.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "output/tenant_writer.h"
#include "pq/transaction.h"
#include "revision/target.h"
#include "rollout/site_visits.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

struct PoolOptions {
  std::size_t keep = 20;
  std::size_t most = 0;
  std::string prefix = "pool_";
  RuntimeRoleOptions roles;
};

/// One run at a time: each would take what the other has begun for what a killed one left. Held by
/// the session or, where a pooler would give that to somebody else, by an open transaction on a
/// connection of its own. Nobody queues for it: what builds an index CONCURRENTLY would wait for
/// whoever does.
class PoolLock {
 public:
  /// Waits for as long as --lock-wait says. Throws UnavailableError.
  PoolLock(const Context& context, Session& session) {
    const pq::Deadline deadline = pq::Clock::now() + context.settings.lock_wait;
    while (!(session.via_pooler() ? is_open(context, session) : is_locked(session))) {
      if (pq::Clock::now() >= deadline) {
        throw UnavailableError("another run fills the pool",
                               "Give the command again when it has ended; --lock-wait says for how "
                               "long to wait.");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

 private:
  static pq::Message try_lock(std::string_view function, bool& is_ours) {
    constexpr int lock_class = 1952670776;
    return {.sql = fmt::format("SELECT pg_catalog.{}({}, 0)", function, lock_class),
            .on_row = [&is_ours](const pq::Row& row) { is_ours = row.text(0) == "t"; }};
  }

  static bool is_locked(Session& session) {
    bool is_ours = false;
    std::vector<pq::Message> messages;
    messages.push_back(try_lock("pg_try_advisory_lock", is_ours));
    pq::run_transaction(session.pipeline(), std::move(messages), pq::Access::read_write,
                        session.deadline());
    return is_ours;
  }

  bool is_open(const Context& context, Session& session) {
    if (!holder_)
      holder_.emplace(session.connect_options());
    transaction_.emplace(holder_->pipeline(), context.settings.answer_timeout);
    bool is_ours = false;
    std::vector<pq::Message> messages;
    messages.push_back(try_lock("pg_try_advisory_xact_lock", is_ours));
    // The portal of a SELECT would keep its snapshot for as long as the transaction is open.
    messages.push_back({.sql = "SET LOCAL statement_timeout = 0"});
    transaction_->run(std::move(messages));
    if (!is_ours)
      transaction_.reset();
    return is_ours;
  }

  std::optional<SiteSession> holder_;
  std::optional<pq::OpenTransaction> transaction_;
};

/// What is to be done about a pool as it stands.
struct PoolPlan {
  std::size_t ready = 0;
  std::vector<TenantPlace> wanted;    ///< to be made, or completed
  std::vector<TenantPlace> surplus;   ///< unfinished, and not needed
  std::vector<TenantPlace> replaced;  ///< ready, but as other roles than are asked for
  std::size_t withdrawn = 0;          ///< so many ready ones are not needed
};

std::vector<std::string> schemas_of(const std::vector<TenantPlace>& places) {
  std::vector<std::string> schemas;
  for (const TenantPlace& place : places)
    schemas.push_back(place.schema);
  return schemas;
}

// What a killed run left unfinished is completed before anything new is begun.
PoolPlan plan_pool(const Context& context, Session& session, const PoolOptions& options) {
  std::vector<TenantPlace> places = tenant_places(context, session).all();
  std::erase_if(places, [](const TenantPlace& place) { return place.is_home(); });
  const PoolRoles roles(context, session, options.roles, places);
  PoolPlan plan;
  const std::size_t most = std::max(options.keep, options.most);
  std::vector<std::string> known;
  for (TenantPlace& place : places) {
    known.push_back(place.schema);
    const bool fits = roles.fit(place);
    if (place.is_ready && fits)
      ++plan.ready;
    else if (place.is_ready)
      plan.replaced.push_back(std::move(place));
    else if (fits)
      plan.wanted.push_back(std::move(place));
    else
      plan.surplus.push_back(std::move(place));
  }
  plan.withdrawn = plan.ready > most ? plan.ready - most : 0;
  const std::size_t lacking = options.keep > plan.ready ? options.keep - plan.ready : 0;
  if (plan.wanted.size() > lacking) {
    const auto from = plan.wanted.begin() + static_cast<std::ptrdiff_t>(lacking);
    std::move(from, plan.wanted.end(), std::back_inserter(plan.surplus));
    plan.wanted.erase(from, plan.wanted.end());
  } else if (lacking > plan.wanted.size()) {
    auto existing =
        read_schema_names(session.pipeline(), like_prefix(options.prefix), session.deadline());
    existing.insert(existing.end(), known.begin(), known.end());
    for (const std::string& name :
         next_names(options.prefix, existing, lacking - plan.wanted.size())) {
      plan.wanted.push_back({.schema = name,
                             .purpose = TenantPlace::Purpose::pool,
                             .runtime_role = roles.name_for(name)});
    }
  }
  return plan;
}

std::vector<std::string> missing_of(Session& session, const std::vector<std::string>& schemas) {
  std::vector<std::string> missing;
  const Fleet fleet = session.schemas(schemas);
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::missing)
      missing.push_back(found.schema);
  }
  return missing;
}

void settle_made(const Context& context, Session& session, const PoolPlan& plan,
                 const Report& report) {
  std::vector<std::string> made;
  for (const SchemaReport& schema : report.schemas) {
    if (schema.result == Result::applied || schema.result == Result::unchanged)
      made.push_back(schema.schema);
  }
  session.revive();
  TenantPlaces places = tenant_places(context, session);
  places.finish_pool(made);
  places.forget_pool(missing_of(session, schemas_of(plan.wanted)));
}

// What is written about the run itself is the command's only if the run is all there is to tell.
ExitCode make_wanted(const Context& context, Session& session, const PoolOptions& options,
                     const PoolPlan& plan) {
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  const Folders folders = read_folders(context);
  if (!only_shows)
    tenant_places(context, session).begin_pool(plan.wanted);
  Migration migration;
  migration.tenants = true;
  migration.create = Missing::schema;
  migration.schemas = schemas_of(plan.wanted);
  migration.plan = [](const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
  const auto role_of = [&plan](const std::string& schema) {
    const auto at = std::ranges::find(plan.wanted, schema, &TenantPlace::schema);
    return at == plan.wanted.end() ? std::string() : at->runtime_role;
  };
  migration.after = [&](Session& inner, Report& report) {
    grant_roles(context, inner, options.roles, role_of, report);
    undo_failed_tenants(context, inner, report);
    drop_roles(context, inner, options.roles, role_of, report);
    settle_made(context, inner, plan, report);
  };
  std::ostringstream told;
  Context inside = context;
  inside.out = &told;
  const ExitCode code = migrate(inside, session, folders, migration);
  if (only_shows || code != ExitCode::ok)
    *context.out << told.str();
  session.revive();
  return code;
}

// Its own role goes with the schema; one that is for many stays, as others depend on it.
void remove_place(const Context& context, Session& session, const TenantPlace& place,
                  bool is_missing) {
  std::vector<pq::Message> role;
  if (!place.runtime_role.empty())
    role.push_back(runtime_roles(context, session).drop_along(place.runtime_role));
  if (!is_missing) {
    const VersionTable table(SchemaName::existing(place.schema),
                             table_options(context.settings, session.run_id()));
    SchemaDrop(session.pipeline(), table, context.settings.version_table)
        .run(0, session.deadline(), {.behind = std::move(role)});
  } else if (!role.empty()) {
    pq::run_transaction(session.pipeline(), std::move(role), pq::Access::read_write,
                        session.deadline());
  }
  tenant_places(context, session).forget_pool({place.schema});
  if (!place.runtime_role.empty() && runtime_roles(context, session).is_ours(place.runtime_role))
    warn(context, fmt::format("role {} is kept: something else depends on it, or you may not drop "
                              "it",
                              escaped_name(place.runtime_role)));
}

// Nobody can claim them any more; whoever was quicker has his.
std::vector<std::string> remove_surplus(const Context& context, Session& session,
                                        const PoolPlan& plan) {
  TenantPlaces places = tenant_places(context, session);
  std::vector<std::string> schemas = schemas_of(plan.surplus);
  const auto take = [&schemas](std::vector<std::string> withdrawn) {
    std::ranges::move(withdrawn, std::back_inserter(schemas));
  };
  if (!plan.replaced.empty())
    take(places.withdraw(schemas_of(plan.replaced)));
  if (plan.withdrawn > 0)
    take(places.withdraw(plan.withdrawn));
  const std::vector<std::string> missing = missing_of(session, schemas);
  for (const TenantPlace& place : places.all()) {
    if (std::ranges::find(schemas, place.schema) != schemas.end())
      remove_place(context, session, place, std::ranges::binary_search(missing, place.schema));
  }
  return schemas;
}

void tell_removed(const Context& context, const PoolPlan& plan) {
  const std::size_t count = plan.surplus.size() + plan.replaced.size() + plan.withdrawn;
  if (count > 0)
    warn(context, fmt::format("{} of the pool would be removed", counted(count, "schema")));
}

ExitCode run(const Context& context, const PoolOptions& options) {
  next_names(options.prefix, {}, 1);
  check_runtime_roles(options.roles);
  if (options.most != 0 && options.most < options.keep) {
    throw UsageError("--max is smaller than --keep", "The pool has as many as --keep says.");
  }
  Session session(context);
  if (!tenant_registry(context, session).is_installed()) {
    throw UsageError("there is no registry in this database", "tenantctl registry init makes it.");
  }
  if (!tenant_gate(context, session).show()) {
    throw UsageError("there is no gate in this database: nobody could claim from the pool",
                     "tenantctl gate install makes it.");
  }
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  std::optional<PoolLock> lock;
  if (!only_shows)
    lock.emplace(context, session);
  const PoolPlan plan = plan_pool(context, session, options);
  if (only_shows)
    tell_removed(context, plan);
  if (!plan.wanted.empty()) {
    const ExitCode code = make_wanted(context, session, options, plan);
    if (only_shows || code != ExitCode::ok)
      return code;
  }
  PoolResult result{.ready = 0, .made = schemas_of(plan.wanted), .removed = {}};
  if (!only_shows)
    result.removed = remove_surplus(context, session, plan);
  for (const TenantPlace& place : tenant_places(context, session).all())
    result.ready += !place.is_home() && place.is_ready ? 1 : 0;
  write_pool(*context.out, context.settings.output, result);
  return ExitCode::ok;
}

}  // namespace

void add_tenant_pool(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("pool", "hold tenants ready that nobody has yet, to be claimed");
  auto options = std::make_shared<PoolOptions>();
  add_setting(*command, "--keep", options->keep, "so many are made ready")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  add_setting(*command, "--max", options->most, "more than so many are removed; else --keep")
      ->check(CLI::Range(1, 100'000));
  add_setting(*command, "--pool-prefix", options->prefix, "of their schemas' names")
      ->capture_default_str();
  describe_runtime_roles(*command, options->roles);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  describe_run(*command, context.settings);
  describe_dry(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
  add_example(*command, "tenantctl tenant pool --keep 20");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace tenantctl::cli
