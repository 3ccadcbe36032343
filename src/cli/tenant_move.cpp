#include <memory>

#include "cli/database_life.h"
#include "cli/options.h"
#include "cli/tenant_databases.h"
#include "cli/tenant_mover.h"
#include "cli/tenants.h"

namespace tenantctl::cli {
namespace {

struct MoveCommand {
  std::string name;
  MoveOptions move;
  bool confirm = false;
  bool undo = false;
};

void check_move(const MoveCommand& command) {
  const int ways =
      (command.move.to.empty() ? 0 : 1) + (command.confirm ? 1 : 0) + (command.undo ? 1 : 0);
  if (ways != 1) {
    throw UsageError(ways == 0 ? "tenant move needs to know where to"
                               : "--to, --confirm and --undo are three things to do",
                     "--to schema, database or rows; then --confirm or --undo.");
  }
  if (command.move.discard_writes && !command.confirm) {
    throw UsageError("--discard-writes says how to --confirm",
                     "What was written where the tenant lives is never given up.");
  }
}

ExitCode run_move(const Context& context, const MoveCommand& command) {
  check_move(command);
  const Folders folders = read_folders(context);
  Session session(context);
  if (session.via_pooler()) {
    throw UsageError("tenant move does not work through a pooler in transaction mode",
                     "Locks of the session tell two runs apart: connect to the server itself.");
  }
  TenantMover mover(context, session, folders, command.move);
  const MoveResult result = command.confirm ? mover.confirm(command.name)
                            : command.undo  ? mover.undo(command.name)
                                            : mover.move(command.name);
  write_move(*context.out, context.settings.output, result);
  return ExitCode::ok;
}

}  // namespace

void add_tenant_move(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("move", "take a tenant from one isolation to another");
  auto options = std::make_shared<MoveCommand>();
  command->add_option("NAME", options->name, "tenant, by slug")->required();
  add_setting(*command, "--to", options->move.to, "schema, database or rows")
      ->check(CLI::IsMember({"schema", "database", "rows"}));
  add_switch(*command, "--confirm", options->confirm, "drop what the tenant left");
  add_switch(*command, "--undo", options->undo,
             "go back to what the tenant left, if nothing was written since");
  add_switch(*command, "--discard-writes", options->move.discard_writes,
             "confirm although what the tenant left was written to since: that is lost");
  add_setting(*command, "--to-schema", options->move.schema,
              "schema to be made; else the slug, with _ for -");
  add_setting(*command, "--home", options->move.home,
              "schema that tenants of shared rows share; else the only one");
  describe_home_tables(*command, options->move.tables);
  const auto describe = [](CLI::Option* option) { option->group("Databases"); };
  describe(add_setting(*command, "--database-prefix", options->move.prefix,
                       "of the database's name, in front of the tenant's")
               ->capture_default_str());
  describe(add_setting(*command, "--tenant-schema", options->move.database_schema,
                       "the tenant's schema in its database")
               ->capture_default_str());
  describe_admin(*command, options->move.admin_url);
  add_switch(*command, "--force", options->move.force,
             "end the sessions that use the tenant's database")
      ->group("Databases");
  describe_tenants(*command, context);
  describe_run(*command, context.settings);
  add_example(*command, "tenantctl tenant move acme --to database");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_move(context, *options); };
  });
}

}  // namespace tenantctl::cli
