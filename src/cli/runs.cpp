#include "output/run_writer.h"

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"

namespace tenantctl::cli {
namespace {

struct RunsOptions {
  std::size_t limit = 20;
  std::string id;
  bool all = false;
};

ExitCode run_list(const Context& context, const RunsOptions& options) {
  Session session(context);
  write_runs(*context.out, context.settings.output, session.ledger().newest(options.limit));
  return ExitCode::ok;
}

ExitCode run_show(const Context& context, const RunsOptions& options) {
  Session session(context);
  RunLedger ledger = session.ledger();
  const RunRecord run = ledger.find(options.id);
  std::vector<RunSchema> schemas = ledger.schemas(run.start.id);
  std::vector<std::string> unfinished;
  if (run.end.state != RunState::running) {
    for (const Scope scope : {Scope::shared, Scope::tenant}) {
      const auto names = unfinished_schemas(run, schemas, scope);
      unfinished.insert(unfinished.end(), names.begin(), names.end());
    }
  }
  Report shared;
  Report tenants;
  for (RunSchema& schema : schemas) {
    Report& report = schema.scope == Scope::shared ? shared : tenants;
    report.schemas.push_back(std::move(schema.report));
  }
  write_run_details(*context.out, context.settings.output,
                    {.run = &run,
                     .shared = &shared,
                     .tenants = &tenants,
                     .unfinished = &unfinished,
                     .lists_all = options.all});
  return ExitCode::ok;
}

void describe_common(CLI::App& command, Context& context) {
  describe_output(command, context.settings);
  describe_connection(command, context.settings);
  add_switch(command, "-q,--quiet", context.settings.quiet, "no warnings");
}

}  // namespace

void add_runs(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("runs", "the ledger: every rollout, newest first");
  auto options = std::make_shared<RunsOptions>();
  add_setting(*command, "--limit", options->limit, "how many")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  describe_common(*command, context);
  add_example(*command, "tenantctl runs --limit 5");
  CLI::App* show = command->add_subcommand("show", "one rollout: counts, causes, schemas");
  show->add_option("ID", options->id, "the run, or the first digits of it")->required();
  add_switch(*show, "--all", options->all, "every schema, not only the problems");
  describe_common(*show, context);
  add_example(*show, "tenantctl runs show 1a2b3c4d");
  command->callback([&context, command, options] {
    if (command->get_subcommands().empty())
      context.run = [&context, options] { return run_list(context, *options); };
  });
  show->callback([&context, options] {
    context.run = [&context, options] { return run_show(context, *options); };
  });
}

}  // namespace tenantctl::cli
