#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

struct StampOptions {
  std::string target;
  bool all = false;
  bool applied = false;
  bool reverted = false;
};

// For stamp and accept-checksum alike: named schemas, the shared one, or all tenants.
ExitCode record(const Context& context, const Folders& folders, Migration& migration, bool all) {
  const Settings& settings = context.settings;
  if (all && !settings.schemas.empty()) {
    throw UsageError("--all and --schema exclude each other", "Give one of them.");
  }
  if (all) {
    migration.tenants = true;
    return migrate(context, folders, migration);
  }
  const Scope scope = scope_of_schemas(context);
  if (settings.schemas.empty() && scope == Scope::tenant) {
    throw UsageError(context.command + " needs a schema", "Name it with --schema, or say --all.");
  }
  for (const std::string& schema : settings.schemas)
    SchemaName::existing(schema);
  migration.shared = scope == Scope::shared;
  migration.tenants = scope == Scope::tenant;
  if (migration.tenants)
    migration.schemas = settings.schemas;
  return migrate(context, folders, migration);
}

ExitCode run_stamp(const Context& context, const StampOptions& options) {
  const Folders folders = read_folders(context);
  Migration migration;
  migration.target = options.target;
  migration.repairs = true;
  migration.create = Missing::table;
  migration.create_shared = Missing::table;
  migration.plan = [target = Target::parse(options.target)](
                       const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_stamp(folder, history, target, missing);
  };
  return record(context, folders, migration, options.all);
}

ExitCode run_accept(const Context& context, const StampOptions& options) {
  const Folders folders = read_folders(context);
  const Target target = Target::parse(options.target);
  if (target.kind() != Target::Kind::revision) {
    throw UsageError(fmt::format("\"{}\" is no revision", options.target),
                     "accept-checksum takes one revision.");
  }
  // Named before connecting; each scope has its own.
  const bool shared = !options.all && scope_of_schemas(context) == Scope::shared;
  target.find_in(shared ? folders.shared : folders.tenant);
  Migration migration;
  migration.target = options.target;
  migration.plan = [target](const RevisionFolder& folder, const History& history,
                            Missing /*missing*/) {
    return plan_accept(folder, history, target.find_in(folder));
  };
  return record(context, folders, migration, options.all);
}

ExitCode run_resolve(const Context& context, const StampOptions& options) {
  if (options.applied == options.reverted) {
    throw UsageError("resolve needs --applied or --reverted",
                     "Say whether the revision stands in the schema or nothing of it does.");
  }
  const Folders folders = read_folders(context);
  const Target target = Target::parse(options.target);
  if (target.kind() != Target::Kind::revision) {
    throw UsageError(fmt::format("\"{}\" is no revision", options.target),
                     "resolve takes the revision that stopped.");
  }
  target.find_in(folders.of(scope_of_schemas(context)));
  Migration migration;
  migration.target = options.target;
  migration.plan = [target, applied = options.applied](
                       const RevisionFolder& folder, const History& history, Missing /*missing*/) {
    return plan_resolve(folder, history, target.find_in(folder), applied);
  };
  return record(context, folders, migration, false);
}

void describe_common(CLI::App& command, Context& context, StampOptions& options) {
  describe_schemas(command, context.settings);
  describe_scope(command, context.settings, "shared or tenant; told by the schema else");
  add_switch(command, "--all", options.all, "every tenant");
  describe_selection(command, context.settings);
  describe_output(command, context.settings);
  describe_folder(command, context.settings);
  describe_connection(command, context.settings);
  describe_run(command, context.settings);
  describe_plan(command, context.settings);
  add_switch(command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
}

}  // namespace

void add_stamp(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("stamp", "record a revision without running anything");
  auto options = std::make_shared<StampOptions>();
  command->add_option("TARGET", options->target, "head, base or a revision")->required();
  describe_common(*command, context, *options);
  add_example(*command, "tenantctl stamp head --schema tenant_acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_stamp(context, *options); };
  });
}

void add_accept_checksum(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("accept-checksum", "record an intended edit of an applied revision");
  auto options = std::make_shared<StampOptions>();
  command->add_option("REVISION", options->target, "the edited revision")->required();
  describe_common(*command, context, *options);
  add_example(*command, "tenantctl accept-checksum 20261120101600 --all");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_accept(context, *options); };
  });
}

void add_resolve(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "resolve", "say what became of a revision that stopped outside a transaction");
  auto options = std::make_shared<StampOptions>();
  command->add_option("REVISION", options->target, "the revision that stopped")->required();
  add_switch(*command, "--applied", options->applied, "it stands in the schema, all of it");
  add_switch(*command, "--reverted", options->reverted, "nothing of it stands in the schema");
  describe_schemas(*command, context.settings);
  describe_scope(*command, context.settings, "shared or tenant; told by the schema else");
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  describe_run(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
  add_example(*command, "tenantctl resolve 0012 --schema tenant_acme --applied");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_resolve(context, *options); };
  });
}

}  // namespace tenantctl::cli
