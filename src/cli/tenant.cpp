#include <algorithm>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "cli/registration.h"
#include "cli/shared_rows.h"
#include "cli/survey.h"
#include "cli/tenant_databases.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "output/folder_writer.h"
#include "output/result_writer.h"
#include "pq/server_error.h"
#include "revision/target.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

struct TenantOptions {
  std::vector<std::string> names;
  std::string like;
  std::string at = "base";
  std::size_t count = 0;
  std::string prefix;
  std::string from_file;
  std::string isolation = "schema";
  std::string home;
  NewcomerOptions newcomer;
  HomeTables tables;
  DatabaseOptions databases;
  bool force = false;
};

SchemaDrop drop_of(Session& session, const VersionTable& table, const Settings& settings) {
  return {session.pipeline(), table, settings.version_table};
}

// A tenant's names come one way only.
void check_sources(const TenantOptions& options) {
  if ((options.count == 0) != options.prefix.empty()) {
    throw UsageError("--count and --prefix belong together",
                     "tenantctl tenant create --count 1000 --prefix tenant_ makes tenant_00001 and "
                     "so on.");
  }
  const int sources = (options.names.empty() ? 0 : 1) + (options.count == 0 ? 0 : 1) +
                      (options.from_file.empty() ? 0 : 1);
  if (sources != 1) {
    throw UsageError(sources == 0 ? "tenant create needs a name" : "tenants are named twice",
                     "Give names, or --count with --prefix, or --from-file.");
  }
}

// Nothing is made at all where one of the names is taken: they may be somebody else's list.
void refuse_existing(const Fleet& fleet, const std::vector<std::uint32_t>& selected,
                     const Registration& registration) {
  std::vector<std::string_view> names;
  for (const std::uint32_t i : selected) {
    const FoundSchema& found = fleet.schemas[i];
    if (found.state != FoundSchema::State::missing && !registration.is_unfinished(found.schema))
      names.emplace_back(found.schema);
  }
  if (names.empty())
    return;
  constexpr std::size_t shown = 10;
  const std::string more =
      names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "";
  names.resize(std::min(names.size(), shown));
  throw UsageError(
      fmt::format("a schema of that name is there already: {}{}", fmt::join(names, ", "), more),
      "tenantctl upgrade --schema brings it forward; tenant adopt gives an existing "
      "schema a version table. Nothing was made.");
}

// A COMMIT whose answer was lost may have made the schema: then its rows are this run's.
bool is_of_run(const History& history, const std::string& run_id) {
  return !history.empty() && std::ranges::all_of(history, [&](const AppliedRevision& row) {
    return row.run_id == run_id;
  });
}

ExitCode run_create(const Context& context, const TenantOptions& given) {
  check_sources(given);
  TenantOptions options = given;
  if (!options.from_file.empty())
    options.names = read_names(options.from_file, "file");
  if (options.isolation == "rows") {
    check_newcomer(options.newcomer, options.names.size() + options.count);
    return create_rows_tenants(context,
                               {.slugs = std::move(options.names),
                                .count = options.count,
                                .prefix = options.prefix,
                                .home = options.home},
                               options.newcomer);
  }
  if (!options.home.empty()) {
    throw UsageError("--home is for tenants of shared rows", "Say --isolation rows as well.");
  }
  check_newcomer(options.newcomer, options.names.size());
  if (options.isolation == "database") {
    return create_databases(context, read_folders(context),
                            {options.names, options.count, options.prefix}, options.databases,
                            options.newcomer);
  }
  if (!options.databases.cluster.empty()) {
    throw UsageError("--cluster is for tenants with a database of their own",
                     "Add --isolation database.");
  }
  if (options.count > 0)
    next_names(options.prefix, {}, 1);
  for (const std::string& name : options.names) {
    SchemaName::create(name);
    if (name == context.settings.shared_schema) {
      throw UsageError(fmt::format("{} holds the shared scope", name), "Use another name.");
    }
  }
  const Folders folders = read_folders(context);
  Migration migration;
  Registration registration(context, options.newcomer);
  std::string run_id;
  migration.tenants = true;
  migration.create = Missing::schema;
  migration.prepare = [&](Session& session, const Fleet& fleet,
                          const std::vector<std::uint32_t>& selected) {
    run_id = session.run_id();
    registration.read(session, fleet, selected);
    refuse_existing(fleet, selected, registration);
    if (!context.settings.dry_run && !context.settings.sql)
      registration.begin(session);
  };
  migration.plan = [&](const RevisionFolder& folder, const History& history, Missing missing) {
    // Somebody was quicker, since the fleet was read; what a killed run left bears its own id.
    if (missing != Missing::schema && !is_of_run(history, run_id) &&
        !registration.has_unfinished()) {
      throw HistoryError("a schema of that name is there already",
                         "tenantctl upgrade --schema brings it forward; tenant adopt gives an "
                         "existing schema a version table.");
    }
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
  migration.after = [&](Session& session, Report& report) {
    registration.grant(session, report);
    undo_failed_tenants(context, session, report);
    registration.drop_roles(session, report);
    registration.end(session, report);
  };
  migration.schemas = options.names;
  if (!context.settings.from.empty())
    return migrate(context, folders, migration);
  Session session(context);
  // What waits in the pool has no role of its own.
  if (options.names.size() == 1 && options.newcomer.runtime_role.empty() &&
      !context.settings.dry_run && !context.settings.sql) {
    if (const auto code =
            claim_tenant(context, session, folders, options.names.front(), options.newcomer))
      return *code;
  }
  if (options.count > 0) {
    migration.schemas = next_names(
        options.prefix,
        read_schema_names(session.pipeline(), like_prefix(options.prefix), session.deadline()),
        options.count);
  }
  try {
    return migrate(context, session, folders, migration);
  } catch (const Error&) {
    registration.abandon(session);
    throw;
  }
}

std::string state_text(const FoundSchema& found, bool marked) {
  switch (found.state) {
    case FoundSchema::State::ours:
      return marked ? "ok" : "unmarked";
    case FoundSchema::State::foreign:
      return "foreign";
    case FoundSchema::State::bare:
      return "unmarked";
    case FoundSchema::State::away:
      return "unavailable";
    case FoundSchema::State::missing:
      break;
  }
  return "missing";
}

// What stands there for others says so, if there is nothing worse to say.
void tell_places(const std::vector<TenantPlace>& places, TenantList& list) {
  for (TenantList::Tenant& tenant : list.tenants) {
    const auto place = std::ranges::find(places, tenant.schema, &TenantPlace::schema);
    if (place != places.end() && tenant.state == "ok")
      tenant.state = place->is_home() ? "home" : "pool";
  }
}

std::string state_text(Standing::State state) {
  switch (state) {
    case Standing::State::marked:
    case Standing::State::lying:
    case Standing::State::dropping:
      return "ok";
    case Standing::State::unmarked:
    case Standing::State::bare:
    case Standing::State::broken:
      return "unmarked";
    case Standing::State::foreign:
      return "foreign";
    case Standing::State::missing:
      return "missing";
    case Standing::State::unavailable:
      break;
  }
  return "unavailable";
}

// Those in other databases, which have to be looked into.
TenantList list_elsewhere(const Context& context, Session& session, const Fleet& fleet,
                          const std::vector<std::uint32_t>& selected,
                          const RevisionFolder& folder) {
  SurveyPart away{.fleet = &fleet, .members = {}, .folder = &folder};
  for (const std::uint32_t i : selected) {
    if (fleet.schemas[i].site != 0)
      away.members.push_back(i);
  }
  TenantList list;
  if (away.members.empty())
    return list;
  const auto standings =
      survey(session, context, {away}, {.reading = marks_reading(context, session)});
  for (const Standing& standing : standings.front()) {
    const std::string state = state_text(standing.state);
    const bool is_known = state == "ok" || standing.state == Standing::State::unmarked;
    for (const std::uint32_t i : standing.members) {
      list.tenants.push_back(
          {.schema = fleet.schemas[i].schema,
           .revision = is_known ? revision_text(folder, standing.mark.head) : "-",
           .state = state});
    }
  }
  return list;
}

ExitCode run_list(const Context& context) {
  const Selection chosen = selection(context);
  const Folders folders = read_folders(context);
  Session session(context);
  const Fleet fleet = session.everywhere();
  const std::vector<std::uint32_t> selected = session.select(fleet, chosen);
  TenantList list = list_elsewhere(context, session, fleet, selected, folders.tenant);
  for (const std::uint32_t i : selected) {
    const FoundSchema& found = fleet.schemas[i];
    if (found.site != 0)
      continue;
    const auto mark = Mark::parse(fleet.comment_of(found));
    list.tenants.push_back({.schema = found.schema,
                            .revision = mark ? revision_text(folders.tenant, mark->head) : "-",
                            .state = state_text(found, mark.has_value())});
  }
  tell_places(tenant_places(context, session).all(), list);
  std::ranges::sort(list.tenants, {}, &TenantList::Tenant::schema);
  write_tenants(*context.out, context.settings.output, list);
  return std::ranges::count(list.tenants, "unavailable", &TenantList::Tenant::state) == 0
             ? ExitCode::ok
             : ExitCode::failed;
}

// A table that only bears the version table's name is not worth losing its schema for.
void check_readable(Session& session, const Context& context, const std::string& name) {
  const VersionTable table(SchemaName::existing(name),
                           table_options(context.settings, session.run_id()));
  try {
    read_history(session.pipeline(), table, session.deadline());
  } catch (const pq::ServerError& error) {
    throw UsageError(fmt::format("\"{}\" is no tenant: its version table cannot be read: {}", name,
                                 error.what()),
                     "DROP SCHEMA removes what tenantctl does not know.");
  }
}

// Only what is ours: anything else of that name is not a tenant.
void check_droppable(Session& session, const Context& context, const std::string& name) {
  if (name == context.settings.shared_schema) {
    throw UsageError(fmt::format("{} holds the shared scope: it is no tenant", name),
                     "tenantctl downgrade base --scope shared takes it back.");
  }
  const Fleet fleet = session.schemas({name});
  const FoundSchema& found = fleet.schemas.front();
  if (found.state == FoundSchema::State::ours) {
    check_readable(session, context, name);
    return;
  }
  const bool missing = found.state == FoundSchema::State::missing;
  throw UsageError(
      fmt::format("\"{}\" is no tenant: {}", name,
                  missing ? "there is no such schema" : "it has no version table of ours"),
      missing ? "tenantctl tenant list shows all."
              : "DROP SCHEMA removes what tenantctl does not know.");
}

bool is_there(Session& session, const std::string& name) {
  return session.schemas({name}).schemas.front().state != FoundSchema::State::missing;
}

// After a loss nobody knows what became of the last DROP, until the schema is looked for again.
void drop_tenant(const Context& context, Session& session, const std::string& name) {
  const VersionTable table(SchemaName::existing(name),
                           table_options(context.settings, session.run_id()));
  constexpr int most_losses = 3;
  std::optional<pq::Deadline> lost_at;
  for (int losses = 0;;) {
    try {
      if (losses > 0) {
        session.revive();
        if (!is_there(session, name))
          return;
      }
      drop_of(session, table, context.settings).run(0, session.deadline());
      return;
    } catch (const UnavailableError& error) {
      // The lost session may still hold the lock; who else does was there before us.
      const bool is_over =
          lost_at && pq::Clock::now() - *lost_at >= context.settings.reconnect_timeout;
      if (losses == 0)
        throw;
      if (is_over || signal_count() > 0) {
        throw Error(fmt::format("whether {} was dropped is not known: {}", name, error.what()),
                    "Run the command again: it goes on where it stopped.");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    } catch (const pq::ServerError&) {
      // It went while we looked.
      if (losses == 0 || is_there(session, name))
        throw;
      return;
    } catch (const pq::ConnectionLost& error) {
      lost_at = lost_at.value_or(pq::Clock::now());
      if (++losses == most_losses) {
        throw Error(fmt::format("whether {} was dropped is not known: {}", name, error.what()),
                    "Run the command again: it goes on where it stopped.");
      }
    }
  }
}

// Who lives in the schemas. Read before anything is dropped: what is gone must not end in a
// question.
std::vector<RegisteredTenant> inhabitants(TenantRegistry& registry,
                                          const std::vector<std::string>& schemas) {
  if (!registry.is_installed())
    return {};
  std::vector<RegisteredTenant> tenants = registry.find(schemas);
  std::erase_if(tenants, [&schemas](const RegisteredTenant& tenant) {
    return !tenant.is_here() || std::ranges::find(schemas, tenant.schema) == schemas.end();
  });
  for (RegisteredTenant& tenant : tenants) {
    // One role for many is nobody's own, and stays.
    if (!tenant.runtime_role.empty() &&
        registry.schemas_of_roles({tenant.runtime_role}).size() != 1)
      tenant.runtime_role.clear();
  }
  return tenants;
}

// Whoever lived there alone lives nowhere any more.
void forget_dropped(const Context& context, Session& session,
                    const std::vector<RegisteredTenant>& registered, const std::string& schema) {
  const auto tenant = std::ranges::find(registered, schema, &RegisteredTenant::schema);
  if (tenant == registered.end())
    return;
  if (!tenant->runtime_role.empty())
    runtime_roles(context, session).drop(tenant->runtime_role);
  tenant_registry(context, session).remove({tenant->slug});
}

// Of the names those that are homes of shared rows; a home goes when nobody lives there.
std::vector<std::string> homes_to_drop(const Context& context, Session& session,
                                       const std::vector<std::string>& names) {
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (std::ranges::count(names, place.schema) == 0)
      continue;
    if (!place.is_home()) {
      throw UsageError(fmt::format("\"{}\" is of the pool, and nobody's yet", place.schema),
                       "tenantctl tenant pool --keep 0 empties the pool.");
    }
    homes.push_back(place.schema);
  }
  return homes;
}

void close_homes(const Context& context, Session& session, const std::vector<std::string>& homes) {
  for (const std::string& home : homes) {
    if (tenant_places(context, session).close_home(home))
      continue;
    throw UsageError(fmt::format("\"{}\" is a home of shared rows, and tenants live there", home),
                     "Drop them first, by their slugs. Nothing was dropped.");
  }
}

ExitCode run_drop(const Context& context, const TenantOptions& options) {
  std::vector<std::string> names = options.names;
  for (const std::string& name : names) {
    if (!TenantRegistry::is_slug(name))
      SchemaName::existing(name);
  }
  Session session(context);
  const auto sharing = take_rows_tenants(context, session, names);
  const auto databases = database_tenants(context, session, names);
  std::erase_if(names, [&databases](const std::string& name) {
    return std::ranges::any_of(databases, [&name](const RegisteredTenant& tenant) {
      return tenant.slug == name || tenant.place() == name;
    });
  });
  if (databases.empty() && options.force) {
    throw UsageError("--force is for tenants with a database of their own",
                     "A schema is dropped whoever is connected.");
  }
  for (const std::string& name : names)
    SchemaName::existing(name);
  const std::vector<std::string> homes = homes_to_drop(context, session, names);
  for (const std::string& name : names)
    check_droppable(session, context, name);
  check_erasable(context, session, sharing, options.tables);
  check_droppable_databases(context, session, databases, options.databases.admin_url);
  if (!confirm(context,
               fmt::format("Drop {} with everything in {}?", fmt::join(options.names, ", "),
                           options.names.size() == 1 ? "it" : "them"))) {
    throw UsageError("not confirmed: nothing was dropped");
  }
  TenantRegistry registry = tenant_registry(context, session);
  const std::vector<RegisteredTenant> registered = inhabitants(registry, names);
  close_homes(context, session, homes);
  for (const std::string& name : names) {
    drop_tenant(context, session, name);
    forget_dropped(context, session, registered, name);
  }
  for (const std::string& home : homes)
    tenant_places(context, session).forget_home(home);
  for (const RegisteredTenant& tenant : databases) {
    drop_database(context, session, tenant, options.databases.admin_url, options.force);
    names.push_back(tenant.slug);
  }
  write_dropped(*context.out, context.settings.output, names,
                drop_rows_tenants(context, session, sharing, options.tables));
  return ExitCode::ok;
}

ExitCode run_adopt(const Context& context, const TenantOptions& options) {
  if (options.like.empty() == options.names.empty()) {
    throw UsageError("adopt needs --like or --schema", "Give one of them: --like 'tenant_%'.");
  }
  for (const std::string& name : options.names) {
    SchemaName::existing(name);
    if (name == "public") {
      throw UsageError("public is no tenant",
                       "Unqualified names of every session end there: give the tenant a schema of "
                       "its own.");
    }
  }
  const Folders folders = read_folders(context);
  const Target target = Target::parse(options.at);
  Migration migration;
  migration.target = options.at;
  migration.tenants = true;
  migration.create = Missing::table;
  migration.schemas = options.names;
  if (!options.like.empty()) {
    Session session(context);
    migration.schemas = read_schema_names(session.pipeline(), options.like, session.deadline());
    std::erase(migration.schemas, context.settings.shared_schema);
    if (migration.schemas.empty()) {
      throw UsageError(fmt::format("no schema is like '{}'", options.like),
                       "The pattern is SQL's: % any run, _ any character.");
    }
  }
  // A schema that has its version table already is left as it is.
  migration.plan = [target](const RevisionFolder& folder, const History& history, Missing missing) {
    if (missing == Missing::nothing) {
      Plan plan;
      plan.from = plan.to = Mark::of(folder.scope(), history);
      return plan;
    }
    return plan_stamp(folder, history, target, missing);
  };
  return migrate(context, folders, migration);
}

void describe_common(CLI::App& command, Context& context) {
  describe_output(command, context.settings);
  describe_folder(command, context.settings);
  describe_connection(command, context.settings);
  add_switch(command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
}

CLI::Option* describe_admin(CLI::App& command, DatabaseOptions& options) {
  return add_setting(command, "--admin-url", options.admin_url,
                     "a connection that may create and drop databases; else the usual one")
      ->group("Databases");
}

void describe_databases(CLI::App& command, DatabaseOptions& options) {
  const auto describe = [](CLI::Option* option) { option->group("Databases"); };
  describe(add_setting(command, "--database-prefix", options.prefix,
                       "of the database's name, in front of the tenant's")
               ->capture_default_str());
  describe(
      add_setting(command, "--tenant-schema", options.schema, "the tenant's schema in its database")
          ->capture_default_str());
  describe(add_setting(command, "--template-database", options.source,
                       "made, kept at head and copied for each tenant; else none"));
  describe(add_setting(command, "--cluster", options.cluster,
                       "server for the databases, a name out of [clusters]; else the usual one"));
  describe_admin(command, options);
}

void add_create(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("create", "a schema, or a database, with its version table, at head");
  auto options = std::make_shared<TenantOptions>();
  command->add_option("NAME", options->names, "schema to create; with a database, the tenant");
  add_setting(*command, "--count", options->count, "so many, numbered, with --prefix")
      ->check(CLI::Range(1, 100'000));
  add_setting(*command, "--prefix", options->prefix,
              "of the names: tenant_ makes tenant_00001, behind the highest there is");
  add_setting(*command, "--from-file", options->from_file,
              "file of names, one a line; - is standard input");
  add_setting(*command, "--isolation", options->isolation,
              "schema or database: one of its own; rows: a row of the registry, NAME is the slug")
      ->check(CLI::IsMember({"schema", "database", "rows"}))
      ->capture_default_str();
  add_setting(*command, "--home", options->home,
              "schema that tenants of shared rows share, made if it is missing; else the only one");
  const auto describe = [](CLI::Option* option) { option->group("Registry"); };
  describe(add_setting(*command, "--slug", options->newcomer.slug,
                       "identifier; else the schema's name"));
  describe(add_setting(*command, "--name", options->newcomer.name,
                       "name for people; else the schema's"));
  describe(add_setting(*command, "--tier", options->newcomer.traits.tier, "tier")
               ->capture_default_str());
  describe(add_setting(*command, "--metadata", options->newcomer.traits.metadata,
                       "JSON object of your own")
               ->capture_default_str());
  describe(add_setting(*command, "--runtime-role", options->newcomer.runtime_role,
                       "role as which sessions work: its name, or per-tenant for one each"));
  describe(add_setting(*command, "--runtime-member", options->newcomer.members,
                       "role that may become the tenants' own, the application's (repeatable)"));
  describe_databases(*command, options->databases);
  describe_common(*command, context);
  describe_run(*command, context.settings);
  describe_plan(*command, context.settings);
  add_example(*command, "tenantctl tenant create tenant_acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_create(context, *options); };
  });
}

void add_list(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("list", "every tenant and where it stands");
  describe_schemas(*command, context.settings);
  describe_selection(*command, context.settings);
  describe_common(*command, context);
  add_example(*command, "tenantctl tenant list --tenants 'tenant_a*'");
  command->callback([&context] { context.run = [&context] { return run_list(context); }; });
}

void add_drop(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("drop", "remove a tenant with everything in it");
  auto options = std::make_shared<TenantOptions>();
  command
      ->add_option("NAME", options->names,
                   "schema, or slug of a tenant of shared rows or with a database")
      ->required();
  describe_home_tables(*command, options->tables);
  add_duration(*command, "--lock-wait", context.settings.lock_wait,
               "patience with transactions that had entered a tenant of shared rows");
  describe_admin(*command, options->databases);
  add_switch(*command, "--force", options->force, "end the sessions that use the database")
      ->group("Databases");
  describe_common(*command, context);
  add_switch(*command, "-y,--yes", context.settings.yes, "do not ask");
  add_example(*command, "tenantctl tenant drop tenant_acme --yes");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_drop(context, *options); };
  });
}

void add_adopt(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("adopt", "give existing schemas an empty version table");
  auto options = std::make_shared<TenantOptions>();
  add_setting(*command, "--like", options->like, "SQL pattern of schema names");
  add_setting(*command, "-s,--schema", options->names, "schema (repeatable)");
  add_setting(*command, "--at", options->at, "revision that they are at already")
      ->capture_default_str();
  describe_common(*command, context);
  describe_run(*command, context.settings);
  describe_plan(*command, context.settings);
  add_example(*command, "tenantctl tenant adopt --like 'tenant_%'");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_adopt(context, *options); };
  });
}

}  // namespace

void undo_failed_tenants(const Context& context, Session& session, Report& report) {
  for (SchemaReport& schema : report.schemas) {
    const bool made_something = schema.steps > 0 || schema.revision > 0;
    if (!is_problem(schema.result) || !made_something)
      continue;
    const VersionTable table(SchemaName::existing(schema.schema),
                             table_options(context.settings, session.run_id()));
    try {
      session.revive();
      drop_of(session, table, context.settings).run(0, session.deadline());
      schema.revision = 0;
      schema.steps = 0;
      if (schema.failure) {
        std::string& hint = schema.failure->hint;
        hint = "Nothing of the tenant was kept." + (hint.empty() ? "" : " " + hint);
      }
    } catch (const Error& error) {
      if (!schema.failure)
        schema.failure = std::make_unique<Failure>();
      schema.failure->hint = fmt::format(
          "The unfinished schema could not be removed ({}): run tenantctl tenant drop {}.",
          error.what(), schema.schema);
    }
  }
}

void add_tenant(CLI::App& app, Context& context) {
  CLI::App* tenant = app.add_subcommand("tenant", "the life of a tenant");
  tenant->require_subcommand(1);
  add_create(*tenant, context);
  add_list(*tenant, context);
  add_drop(*tenant, context);
  add_adopt(*tenant, context);
  add_tenant_pool(*tenant, context);
  add_tenant_states(*tenant, context);
  add_example(*tenant, "tenantctl tenant create tenant_acme");
}

}  // namespace tenantctl::cli
