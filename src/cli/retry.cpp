#include <fmt/format.h>

#include <set>

#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

/// What a run wanted and did not get.
struct Leftover {
  RunRecord run;
  std::vector<std::string> shared;
  std::vector<std::string> tenants;
};

Leftover leftover_of(RunLedger& ledger, const std::string& id) {
  Leftover rest;
  rest.run = ledger.find(id);
  if (rest.run.end.state == RunState::running) {
    throw UsageError(fmt::format("run {} is still under way", rest.run.start.id),
                     "Wait for its end; tenantctl runs shows it.");
  }
  const auto schemas = ledger.schemas(rest.run.start.id);
  rest.shared = unfinished_schemas(rest.run, schemas, Scope::shared);
  rest.tenants = unfinished_schemas(rest.run, schemas, Scope::tenant);
  return rest;
}

// A retry of a retry is about what the first run was about.
std::string first_command(RunLedger& ledger, const RunRecord& run) {
  std::string command = run.start.command;
  std::string id = run.start.of_run;
  while (command == "retry") {
    const RunRecord before = ledger.find(id);
    command = before.start.command;
    id = before.start.of_run;
  }
  return command;
}

bool is_upgrade(const std::string& command) {
  return command == "upgrade" || command == "upgrade-all";
}

void refuse_other_commands(const std::string& command, const RunRecord& run) {
  if (is_upgrade(command) || command == "downgrade" || command == "downgrade-all") {
    return;
  }
  const bool undone = command == "undo";
  throw UsageError(
      fmt::format("run {} was \"{}\": retry takes upgrades and downgrades", run.start.id, command),
      undone ? fmt::format("tenantctl undo {} goes on with it.", run.start.of_run)
             : "Give that command again.");
}

// +2 from where a schema stood is another place from where it stopped: the plan knows which.
Target goal_of(const Leftover& rest) {
  const Target target = Target::parse(rest.run.start.target);
  if (target.kind() != Target::Kind::forward && target.kind() != Target::Kind::back) {
    return target;
  }
  std::set<RevisionNumber> goals;
  for (const RunGroup& group : rest.run.start.groups) {
    const auto& left = group.scope == Scope::shared ? rest.shared : rest.tenants;
    const bool is_left =
        std::any_of(group.schemas.begin(), group.schemas.end(), [&left](const std::string& name) {
          return std::binary_search(left.begin(), left.end(), name);
        });
    if (is_left)
      goals.insert(group.to);
  }
  if (goals.size() != 1) {
    throw UsageError(fmt::format("run {} went {} from different places", rest.run.start.id,
                                 rest.run.start.target),
                     "Name a revision: tenantctl upgrade-all REVISION --only-failed RUN.");
  }
  return *goals.begin() == 0 ? Target::parse("base")
                             : Target::parse(fmt::to_string(*goals.begin()));
}

Migration::Planner planner_of(const std::string& command, const Target& goal, bool late) {
  if (!is_upgrade(command)) {
    return [goal](const RevisionFolder& folder, const History& history, Missing /*missing*/) {
      return plan_downgrade(folder, history, goal);
    };
  }
  return [goal, late, all = command == "upgrade-all"](const RevisionFolder& folder,
                                                      const History& history, Missing missing) {
    const bool to_head = all && folder.scope() == Scope::shared;
    return plan_upgrade(folder, history, to_head ? Target::head() : goal,
                        {.allow_out_of_order = late, .missing = missing});
  };
}

// Without the clusters that the run could not read.
std::vector<std::string> those_read(const Session& session, std::vector<std::string> names) {
  const auto unread = session.unread({});
  std::erase_if(names, [&unread](const std::string& name) { return unread.contains(name); });
  return names;
}

ExitCode run_retry(const Context& context, const std::string& id) {
  const Folders folders = read_folders(context);
  Session session(context);
  RunLedger ledger = session.ledger();
  const Leftover rest = leftover_of(ledger, id);
  const std::string command = first_command(ledger, rest.run);
  refuse_other_commands(command, rest.run);
  session.mark_unread_by(rest.run.start.id, rest.shared);
  session.mark_unread_by(rest.run.start.id, rest.tenants);
  refuse_other_shared(those_read(session, rest.shared), context.settings.shared_schema);
  Migration migration;
  migration.target = rest.run.start.target;
  migration.plan = planner_of(command, goal_of(rest), context.settings.allow_out_of_order);
  migration.of_run = rest.run.start.id;
  migration.shared = !rest.shared.empty();
  migration.shared_schemas = rest.shared;
  migration.create_shared = is_upgrade(command) ? Missing::schema : Missing::nothing;
  migration.tenants = !rest.tenants.empty();
  migration.schemas = rest.tenants;
  migration.revise = forgive_dropped;
  return migrate(context, session, folders, migration);
}

}  // namespace

void add_retry(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("retry", "what a run left unfinished, once more; nothing else");
  auto id = std::make_shared<std::string>();
  command->add_option("ID", *id, "the run, or the first digits of it")->required();
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  describe_run(*command, context.settings);
  describe_dry(*command, context.settings);
  add_switch(*command, "--allow-out-of-order", context.settings.allow_out_of_order,
             "apply revisions that are older than applied ones");
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
  add_example(*command, "tenantctl retry 1a2b3c4d");
  command->callback(
      [&context, id] { context.run = [&context, id] { return run_retry(context, *id); }; });
}

}  // namespace tenantctl::cli
