#include "cli/tenant_databases.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <sstream>
#include <thread>

#include "base/text.h"
#include "cli/clusters.h"
#include "cli/database_admin.h"
#include "cli/database_life.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "cli/resident_gates.h"
#include "cli/signals.h"
#include "cli/tenants.h"
#include "output/result_writer.h"
#include "revision/target.h"
#include "rollout/plan_file.h"
#include "rollout/site_visits.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

using namespace std::chrono_literals;

Migration::Planner to_head() {
  return [](const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
}

/// The database that new ones are copied from. Nobody can be connected to it, or the server would
/// not copy it; what it holds stands in its comment, so that nobody need look.
class Template {
 public:
  Template(const Context& context, Session& session, const Folders& folders,
           const DatabaseOptions& options)
      : context_(context), session_(session), folders_(folders), options_(options) {}

  void bring_to_head(Databases& databases) {
    lock(databases);
    const std::vector<FoundDatabase> found = databases.find({options_.source});
    if (found.empty()) {
      databases.create(options_.source, "");
      databases.comment(options_.source, beginning());
    } else {
      check(found.front());
      if (found.front().comment == mark() && !found.front().takes_connections)
        return;
    }
    databases.comment(options_.source, beginning());
    databases.open(options_.source);
    install_gate();
    migrate_it();
    databases.shut(options_.source);
    databases.comment(options_.source, mark());
  }

 private:
  static std::string beginning() { return "tenantctl template"; }

  std::string mark() const {
    return fmt::format("{}: gate {}, {} {} and {} {}", beginning(), ResidentGate::version(),
                       context_.settings.shared_schema, folder_digest(folders_.shared),
                       options_.schema, folder_digest(folders_.tenant));
  }

  void check(const FoundDatabase& found) const {
    if (!found.comment.starts_with(beginning())) {
      throw UsageError(fmt::format("database {} is no template of tenantctl's", found.name),
                       "--template-database names one that tenantctl makes and keeps.");
    }
    if (found.is_broken) {
      throw UsageError(fmt::format("database {} is half-dropped", found.name),
                       "DROP DATABASE it; tenant create makes it anew.");
    }
  }

  void lock(Databases& databases) const {
    const pq::Deadline until = pq::Clock::now() + context_.settings.lock_wait;
    while (!databases.try_lock(options_.source)) {
      if (pq::Clock::now() >= until) {
        throw Error(fmt::format("another session changes the template {}", options_.source),
                    "Wait for the other run and start again; --lock-wait gives more time.");
      }
      std::this_thread::sleep_for(100ms);
    }
  }

  void install_gate() const {
    SiteSession database(
        session_.connect_options({.cluster = options_.cluster, .database = options_.source}));
    ResidentGate(database.pipeline(), context_.settings.owners, context_.settings.answer_timeout)
        .install();
  }

  void migrate_it() {
    const std::vector<NewTenant> itself{{.slug = options_.source,
                                         .name = options_.source,
                                         .schema = options_.schema,
                                         .database = options_.source,
                                         .cluster = options_.cluster}};
    try {
      migrate_quietly(context_, session_, folders_, migration_in(folders_, itself));
    } catch (const Error& error) {
      throw Error(fmt::format("the template {} could not be brought to head:\n{}", options_.source,
                              error.what()),
                  "No tenant was made.");
    }
  }

  const Context& context_;
  Session& session_;
  const Folders& folders_;
  const DatabaseOptions& options_;
};

/// Tenants on their way to a database each.
class Newcomers {
 public:
  Newcomers(const Context& context, Session& session, const Folders& folders,
            const DatabaseOptions& options, const NewcomerOptions& newcomer)
      : context_(context),
        session_(session),
        folders_(folders),
        options_(options),
        newcomer_(newcomer) {}

  const std::vector<NewTenant>& tenants() const { return tenants_; }

  /// Throws UsageError where one of them cannot be made: then none is.
  void read(const DatabaseNames& asked) {
    TenantRegistry registry = tenant_registry(context_, session_);
    if (!registry.is_installed()) {
      throw UsageError(
          "a tenant with a database of its own needs a registry, or nobody knows of it",
          "tenantctl registry init makes it.");
    }
    std::vector<std::string> names = asked.names;
    if (asked.count > 0)
      names = next_slugs(asked.prefix,
                         with_slugs_elsewhere(context_, session_, slugs_of(registry.all())),
                         asked.count);
    for (const std::string& name : names)
      tenants_.push_back(newcomer_of(name));
    for (const RegisteredTenant& tenant : registry.find(wanted()))
      take_over(tenant);
    read_runtime_roles(registry);
    roles_ = roles_of(session_, options_.cluster);
    DatabaseAdmin admin(context_, admin_connection(), roles_);
    check_databases(admin.databases().find(databases()));
  }

  void begin() {
    tenant_registry(context_, session_)
        .provision(tenants_, newcomer_.traits, session_.run_id(), !session_.via_pooler());
    begun_ = true;
  }

  void make() {
    DatabaseAdmin admin(context_, admin_connection(), roles_);
    if (!options_.source.empty())
      Template(context_, session_, folders_, options_).bring_to_head(admin.databases());
    for (const NewTenant& tenant : tenants_)
      make_database(admin.databases(), tenant.database);
    settle();
  }

  /// Ready is what stands; of the others nothing is left.
  void end(Report& report) {
    grant(report);
    std::vector<std::string> ready;
    std::vector<SchemaReport*> failed;
    for (SchemaReport& schema : report.schemas) {
      if (is_problem(schema.result) || schema.result == Result::gone) {
        failed.push_back(&schema);
      } else {
        ready.push_back(tenant_of(schema.schema).slug);
      }
    }
    try {
      session_.revive();
      tenant_registry(context_, session_).finish(ready, session_.run_id());
    } catch (const Error& error) {
      // A translation: what was made must still be told.
      for (SchemaReport& schema : report.schemas)
        refuse_ready(schema, error);
      return;
    }
    remove(failed);
  }

  Seeder::TargetOf seed_targets() const {
    return [this](const std::string& place) {
      const auto row = std::ranges::find(registered_, place, &RegisteredTenant::place);
      return std::pair(row->site(), seed_target(*row));
    };
  }

  /// The command ends with an error: as far as it can be done.
  void abandon() {
    if (!begun_)
      return;
    try {
      session_.revive();
      DatabaseAdmin admin(context_, admin_connection(), roles_);
      for (const NewTenant& tenant : tenants_) {
        remove_database(admin.databases(), tenant);
        drop_role(tenant);
      }
    } catch (const Error&) {
      // The error that ended the command is the one to tell; a later create finishes what is left.
      return;
    }
  }

  /// What would be done: nothing is there to be looked at.
  void show() const {
    const Migration migration = migration_in(folders_, tenants_);
    const Fleet fleet = migration.fleet(session_);
    Standing none;
    none.state = Standing::State::missing;
    for (std::uint32_t i = 0; i < fleet.schemas.size(); ++i)
      none.members.push_back(i);
    const auto replan = [this, &migration](const History& history, Missing missing) {
      return migration.plan(folders_.tenant, history, missing);
    };
    const FleetPlan plan =
        plan_fleet(fleet, {none}, folders_.tenant, replan, Missing::schema, false);
    write_plan(
        *context_.out, context_.settings.output,
        {.command = context_.command, .target = "head", .shared = nullptr, .tenants = &plan});
  }

 private:
  // Who works as which role is settled, and found possible, before anything is made. The name is of
  // this database and the tenant's: no other tenant of the server has both.
  void read_runtime_roles(TenantRegistry& registry) {
    if (newcomer_.runtime_role.empty())
      return;
    SiteSession there(session_.connect_options(main_site(options_.cluster)));
    RuntimeRoles roles = runtime_roles_there(context_, session_, there.pipeline());
    if (!newcomer_.has_own_roles()) {
      roles.check_given(newcomer_.runtime_role);
      for (NewTenant& tenant : tenants_)
        tenant.runtime_role = newcomer_.runtime_role;
      return;
    }
    std::vector<std::string> names;
    for (NewTenant& tenant : tenants_) {
      tenant.runtime_role = RuntimeRoles::name_of(roles.database(), tenant.database);
      names.push_back(tenant.runtime_role);
    }
    for (const std::string& member : newcomer_.members)
      roles.check_given(member);
    roles.check_free(names);
    refuse_taken_roles(registry.all(), names);
  }

  void refuse_taken_roles(const std::vector<RegisteredTenant>& all,
                          const std::vector<std::string>& names) const {
    for (const RegisteredTenant& tenant : all) {
      const bool is_new = std::ranges::count(unfinished_, tenant.database) > 0;
      if (!is_new && std::ranges::count(names, tenant.runtime_role) > 0) {
        throw UsageError(fmt::format("tenant {} works as a role that a new tenant would be given "
                                     "by its name",
                                     tenant.slug),
                         "It was renamed or dropped. Name a role with --runtime-role NAME.");
      }
    }
  }

  void grant(Report& report) {
    if (newcomer_.runtime_role.empty())
      return;
    for (SchemaReport& schema : report.schemas) {
      if (is_problem(schema.result) || schema.result == Result::gone)
        continue;
      const NewTenant& tenant = tenant_of(schema.schema);
      try {
        session_.revive();
        SiteSession inside(
            session_.connect_options({.cluster = tenant.cluster, .database = tenant.database}));
        RuntimeRoles roles = runtime_roles_there(context_, session_, inside.pipeline());
        if (newcomer_.has_own_roles())
          roles.make_inside(tenant.runtime_role, tenant.schema, newcomer_.members);
        else
          roles.grant_inside(tenant.runtime_role, tenant.schema);
      } catch (const Error& error) {
        // A translation: one tenant has failed, and is taken away again as others are.
        schema.result = Result::failed;
        schema.failure = std::make_unique<Failure>();
        schema.failure->message = error.what();
        schema.failure->hint = error.hint();
      }
    }
  }

  // Behind its database: then nothing depends on it.
  void drop_role(const NewTenant& tenant) {
    if (newcomer_.has_own_roles())
      drop_role_of_database(context_, session_, tenant.runtime_role, tenant.cluster);
  }

  // Their revisions may ask for the tenant.
  void settle() {
    std::vector<std::string> slugs;
    for (const NewTenant& tenant : tenants_)
      slugs.push_back(tenant.slug);
    std::vector<RegisteredTenant> registered = tenant_registry(context_, session_).find(slugs);
    std::erase_if(registered, [&slugs](const RegisteredTenant& one) {
      return std::ranges::count(slugs, one.slug) == 0;
    });
    const ResidentGates gates = settle_residents(context_, session_, registered);
    registered_ = std::move(registered);
    if (!gates.failed.empty()) {
      throw Error(fmt::format("the gate in the database of {} could not be made: {}",
                              gates.failed.front().tenant, gates.failed.front().message),
                  "Nothing was made.");
    }
  }

  pq::ConnectOptions admin_connection() const {
    return admin_options(session_, options_.cluster, options_.admin_url);
  }

  static std::vector<std::string> slugs_of(const std::vector<RegisteredTenant>& tenants) {
    std::vector<std::string> slugs;
    for (const RegisteredTenant& tenant : tenants)
      slugs.push_back(tenant.slug);
    return slugs;
  }

  NewTenant newcomer_of(const std::string& name) const {
    NewTenant tenant{.slug = newcomer_.slug.empty() ? name : newcomer_.slug,
                     .name = newcomer_.name.empty() ? name : newcomer_.name,
                     .schema = options_.schema,
                     .database = options_.prefix + name,
                     .cluster = options_.cluster};
    if (tenant.database.size() > SchemaName::max_bytes) {
      throw UsageError(fmt::format("the database's name {} is longer than {} bytes",
                                   tenant.database, SchemaName::max_bytes),
                       "PostgreSQL would cut it; use a shorter name or --database-prefix.");
    }
    return tenant;
  }

  std::vector<std::string> wanted() const {
    std::vector<std::string> names;
    for (const NewTenant& tenant : tenants_) {
      names.push_back(tenant.slug);
      names.push_back(place_of(tenant));
    }
    return names;
  }

  static std::string place_of(const NewTenant& tenant) {
    return Site{.cluster = tenant.cluster, .database = tenant.database}.name_of(tenant.schema);
  }

  std::vector<std::string> databases() const {
    std::vector<std::string> names;
    for (const NewTenant& tenant : tenants_)
      names.push_back(tenant.database);
    return names;
  }

  const NewTenant& tenant_of(const std::string& place) const {
    return *std::ranges::find(tenants_, place, &place_of);
  }

  void take_over(const RegisteredTenant& tenant) {
    const bool is_same = std::ranges::any_of(tenants_, [&tenant](const NewTenant& one) {
      return one.slug == tenant.slug && place_of(one) == tenant.place();
    });
    if (is_same && tenant.state == "provisioning" && !tenant.is_being_made) {
      unfinished_.push_back(tenant.database);
      return;
    }
    const bool is_meant = std::ranges::any_of(tenants_, [&tenant](const NewTenant& one) {
      return one.slug == tenant.slug || place_of(one) == tenant.place();
    });
    if (!is_meant)
      return;
    throw UsageError(fmt::format("tenant {} is registered already: {}, in {}", tenant.slug,
                                 tenant.state, tenant.place()),
                     tenant.is_being_made ? "Another run is making it. Nothing was made."
                     : tenant.is_kept
                         ? "tenantctl tenant undrop brings it back, tenant purge frees the name. "
                           "Nothing was made."
                         : "tenantctl tenant list shows all. Nothing was made.");
  }

  // Nothing is made at all where one of the names is taken.
  void check_databases(const std::vector<FoundDatabase>& found) {
    for (const FoundDatabase& database : found) {
      const bool is_left_over = std::ranges::count(unfinished_, database.name) > 0;
      if (!is_left_over) {
        throw UsageError(fmt::format("database {} is there already", database.name),
                         "Use another name or --database-prefix. Nothing was made.");
      }
      if (database.owner != roles_.owner) {
        throw UsageError(fmt::format("database {} belongs to {}", database.name, database.owner),
                         "Somebody else made it meanwhile. Nothing was made.");
      }
      (database.is_broken ? broken_ : left_over_).push_back(database.name);
    }
  }

  // The template may be in use for the moment that another run's copy takes.
  void make_database(Databases& databases, const std::string& name) {
    const auto is_among = [&name](const std::vector<std::string>& names) {
      return std::ranges::count(names, name) > 0;
    };
    if (is_among(broken_))
      databases.drop(name, true);
    if (!is_among(left_over_)) {
      const pq::Deadline until = pq::Clock::now() + context_.settings.lock_wait;
      for (bool is_made = false; !is_made;) {
        try {
          databases.create(name, options_.source);
          is_made = true;
        } catch (const pq::ServerError& error) {
          if (!error.is(object_in_use) || pq::Clock::now() >= until)
            throw;
        }
      }
    }
    databases.open(name);
  }

  void remove_database(Databases& databases, const NewTenant& tenant) {
    databases.drop(tenant.database, true);
    tenant_registry(context_, session_).forget({tenant.slug}, session_.run_id());
  }

  void remove(const std::vector<SchemaReport*>& failed) {
    std::unique_ptr<DatabaseAdmin> admin;
    for (SchemaReport* schema : failed) {
      if (schema->failure == nullptr)
        schema->failure = std::make_unique<Failure>();
      std::string& hint = schema->failure->hint;
      try {
        if (admin == nullptr)
          admin = std::make_unique<DatabaseAdmin>(context_, admin_connection(), roles_);
        remove_database(admin->databases(), tenant_of(schema->schema));
        drop_role(tenant_of(schema->schema));
        schema->revision = 0;
        schema->steps = 0;
        hint = "Nothing of the tenant was kept." + (hint.empty() ? "" : " " + hint);
      } catch (const Error& error) {
        hint = fmt::format(
            "The unfinished database could not be removed ({}): run the command again, or "
            "tenantctl tenant drop {}.",
            error.what(), tenant_of(schema->schema).slug);
      }
    }
  }

  static void refuse_ready(SchemaReport& schema, const Error& error) {
    if (is_problem(schema.result))
      return;
    schema.result = Result::failed;
    schema.failure = std::make_unique<Failure>();
    schema.failure->message = fmt::format("cannot be registered as ready: {}", error.what());
    schema.failure->hint = "Its database is complete: run the command again.";
  }

  const Context& context_;
  Session& session_;
  const Folders& folders_;
  const DatabaseOptions& options_;
  const NewcomerOptions& newcomer_;
  bool begun_ = false;
  DatabaseRoles roles_;
  std::vector<NewTenant> tenants_;
  std::vector<RegisteredTenant> registered_;
  std::vector<std::string> unfinished_;  ///< databases of tenants that a killed run began
  std::vector<std::string> left_over_;   ///< of these, those that are there
  std::vector<std::string> broken_;      ///< and those of which a DROP was interrupted
};

// Before any connection is made.
void check_options(const Context& context, const DatabaseNames& asked,
                   const DatabaseOptions& options) {
  SchemaName::create(options.schema);
  if (options.schema == context.settings.shared_schema) {
    throw UsageError(fmt::format("{} holds the shared scope", options.schema),
                     "Give the tenant's schema another name with --tenant-schema.");
  }
  if (!options.cluster.empty())
    cluster_url(context.settings, options.cluster);
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  if (options.prefix.find_first_not_of(allowed) != std::string::npos) {
    throw UsageError(
        fmt::format("\"{}\" is no prefix of a database's name", escaped_name(options.prefix)),
        "Letters, digits, _ and - may stand there.");
  }
  for (const std::string& name : asked.names) {
    if (!TenantRegistry::is_slug(name)) {
      throw UsageError(fmt::format("\"{}\" is no slug", escaped_name(name)),
                       "A slug begins with a-z, goes on with a-z, 0-9, _ and -, and has at most 63 "
                       "bytes.");
    }
  }
  if (context.settings.sql || !context.settings.from.empty()) {
    throw UsageError(
        "tenant create --isolation database takes neither --sql nor --from",
        "tenantctl tenant create NAME --sql shows what a schema gets: it is the same.");
  }
}

}  // namespace

// Both scopes, in these databases and nowhere else.
Migration migration_in(const Folders& folders, const std::vector<NewTenant>& tenants) {
  Migration migration;
  migration.tenants = true;
  migration.shared = !folders.shared.is_blank();
  migration.shared_home = false;
  migration.create = Missing::schema;
  migration.create_shared = Missing::schema;
  migration.plan = to_head();
  migration.fleet = [&tenants](Session& /*session*/) {
    Fleet fleet;
    for (const NewTenant& tenant : tenants) {
      fleet.add_away({.cluster = tenant.cluster, .database = tenant.database}, tenant.schema,
                     tenant.slug);
    }
    fleet.sort();
    return fleet;
  };
  return migration;
}

void migrate_quietly(const Context& context, Session& session, const Folders& folders,
                     const Migration& migration) {
  Context quiet = context;
  std::ostringstream unread;
  std::ostringstream causes;
  quiet.out = &unread;
  quiet.err = &causes;
  quiet.settings.output = Format::text;
  quiet.settings.quiet = true;
  quiet.settings.no_ledger = true;
  quiet.settings.reports.clear();
  if (migrate(quiet, session, folders, migration) == ExitCode::ok)
    return;
  std::string told = causes.str();
  told.resize(told.find_last_not_of('\n') + 1);
  throw Error(told);
}

ExitCode create_databases(const Context& context, const Folders& folders, const SeedWork& work,
                          const DatabaseNames& names, const DatabaseOptions& options,
                          const NewcomerOptions& newcomer) {
  check_options(context, names, options);
  Session session(context);
  Newcomers newcomers(context, session, folders, options, newcomer);
  newcomers.read(names);
  if (context.settings.dry_run) {
    newcomers.show();
    return ExitCode::ok;
  }
  watch_signals();
  try {
    newcomers.begin();
    newcomers.make();
    Migration migration = migration_in(folders, newcomers.tenants());
    migration.after = [&](Session& /*session*/, Report& report) {
      if (!work.is_empty())
        Seeder(context, session, work).seed_made(report, newcomers.seed_targets());
      newcomers.end(report);
    };
    return migrate(context, session, folders, migration);
  } catch (const Error&) {
    newcomers.abandon();
    throw;
  }
}

}  // namespace tenantctl::cli
