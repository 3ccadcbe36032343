#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/database_life.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "cli/registration.h"
#include "cli/seeds.h"
#include "cli/shared_rows.h"
#include "cli/tenant_databases.h"
#include "cli/tenants.h"
#include "revision/target.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

struct CreateOptions {
  std::vector<std::string> names;
  std::size_t count = 0;
  std::string prefix;
  std::string from_file;
  std::string isolation = "schema";
  std::string home;
  NewcomerOptions newcomer;
  DatabaseOptions databases;
  SeedOptions seeds;
};

// A tenant's names come one way only.
void check_sources(const CreateOptions& options) {
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

// Of both scopes where a database is made, which has a shared schema of its own.
SeedWork seed_work(const Context& context, const Folders& folders, const CreateOptions& options) {
  SeedWork work;
  work.tenant = seeds_of(folders.tenant);
  if (options.isolation == "database")
    work.shared = seeds_of(folders.shared);
  read_values(work, options.seeds);
  if (context.settings.dry_run)
    note_seeds(context, work);
  return work;
}

// The tenants of a run that is making them, as the registry has them.
Seeder::TargetOf targets_here(const Context& context, Session& session, const Report& report) {
  const auto rows = std::make_shared<std::optional<std::vector<RegisteredTenant>>>();
  return [&context, &session, &report, rows](const std::string& schema) {
    if (!*rows) {
      std::vector<std::string> schemas;
      for (const SchemaReport& one : report.schemas)
        schemas.push_back(one.schema);
      session.revive();
      *rows = tenant_registry(context, session).find(schemas);
    }
    const auto row = std::ranges::find_if(**rows, [&schema](const RegisteredTenant& tenant) {
      return tenant.is_here() && tenant.schema == schema;
    });
    SeedTarget unknown{.schema = SchemaName::existing(schema), .slug = schema, .name = schema};
    return std::pair(Site(), row == (*rows)->end() ? unknown : seed_target(*row));
  };
}

ExitCode run_create(const Context& context, const CreateOptions& given) {
  check_sources(given);
  CreateOptions options = given;
  if (!options.from_file.empty())
    options.names = read_names(options.from_file, "file");
  options.databases.cluster = context.settings.cluster;
  if (!options.databases.cluster.empty() && options.isolation != "database") {
    throw UsageError(fmt::format("cluster {} has not joined the registry: only tenants with a "
                                 "database of their own can be made there",
                                 escaped_name(options.databases.cluster)),
                     "tenantctl registry join has it do so; or say --isolation database.");
  }
  if (options.isolation == "rows") {
    check_newcomer(options.newcomer, options.names.size() + options.count);
    const Folders folders = read_folders(context);
    const SeedWork work = seed_work(context, folders, options);
    return create_rows_tenants(context, folders, work,
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
    const Folders folders = read_folders(context);
    const SeedWork work = seed_work(context, folders, options);
    return create_databases(context, folders, work, {options.names, options.count, options.prefix},
                            options.databases, options.newcomer);
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
  const SeedWork work = seed_work(context, folders, options);
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
    if (!work.is_empty())
      Seeder(context, session, work).seed_made(report, targets_here(context, session, report));
    undo_failed_tenants(context, session, report);
    registration.drop_roles(session, report);
    registration.end(session, report);
  };
  migration.schemas = options.names;
  if (!context.settings.from.empty())
    return migrate(context, folders, migration);
  Session session(context);
  if (options.names.size() == 1 && !context.settings.dry_run && !context.settings.sql) {
    if (const auto code =
            claim_tenant(context, session, folders, work,
                         {.schema = options.names.front(), .options = options.newcomer}))
      return *code;
  }
  if (options.count > 0) {
    migration.schemas = next_names(
        options.prefix,
        with_slugs_elsewhere(
            context, session,
            read_schema_names(session.pipeline(), like_prefix(options.prefix), session.deadline())),
        options.count);
  }
  try {
    return migrate(context, session, folders, migration);
  } catch (const Error&) {
    registration.abandon(session);
    throw;
  }
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
  describe_admin(command, options.admin_url);
}

}  // namespace

void add_tenant_create(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("create", "a schema, or a database, with its version table, at head");
  auto options = std::make_shared<CreateOptions>();
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
  describe_newcomer(*command, options->newcomer);
  describe_databases(*command, options->databases);
  describe_params(*command, options->seeds);
  describe_tenants(*command, context);
  describe_run(*command, context.settings);
  describe_plan(*command, context.settings);
  add_example(*command, "tenantctl tenant create tenant_acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_create(context, *options); };
  });
}

}  // namespace tenantctl::cli
