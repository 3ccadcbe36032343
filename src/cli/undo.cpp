#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"

namespace tenantctl::cli {
namespace {

/// A run with its retries: one rollout to the person who started it.
struct Undone {
  RunRecord run;
  std::size_t retries = 0;
  std::set<std::string> ids;
  std::set<std::string> shared;
  std::set<std::string> tenants;
};

void refuse_other_runs(const RunRecord& run) {
  const std::string& command = run.start.command;
  if (run.end.state == RunState::running) {
    throw UsageError(fmt::format("run {} is still under way", run.start.id),
                     "Wait for its end, or stop it with Ctrl-C; tenantctl runs shows it.");
  }
  if (command == "downgrade" || command == "downgrade-all" || command == "undo") {
    throw UsageError(
        fmt::format("run {} took revisions back: there is nothing to undo", run.start.id),
        "tenantctl upgrade-all brings them again.");
  }
  if (command == "stamp" || command == "accept-checksum" || command == "resolve" ||
      command == "tenant adopt") {
    throw UsageError(fmt::format("run {} was \"{}\": it ran no revision", run.start.id, command),
                     "tenantctl stamp records where a schema stands.");
  }
}

// Named before anything runs: a run that can only half be taken back is not begun.
void refuse_irreversible(const std::vector<Standing>& standings, const RevisionFolder& folder,
                         const std::set<std::string>& run_ids) {
  std::set<std::string> titles;
  for (const Standing& standing : standings) {
    for (const AppliedRevision& row : standing.history) {
      const Revision* revision = run_ids.count(row.run_id) > 0 ? folder.find(row.number) : nullptr;
      if (revision != nullptr && !revision->down)
        titles.insert(revision->title());
    }
  }
  if (!titles.empty()) {
    throw UsageError(fmt::format("the run cannot be undone: {} {} no down section: {}",
                                 counted(titles.size(), "revision"),
                                 titles.size() == 1 ? "has" : "have", fmt::join(titles, ", ")),
                     "Write the section, or take other revisions back with tenantctl downgrade.");
  }
}

void add_touched(Undone& undone, RunLedger& ledger, const RunRecord& run) {
  const auto schemas = ledger.schemas(run.start.id);
  undone.ids.insert(run.start.id);
  for (std::string& schema : touched_schemas(run, schemas, Scope::shared)) {
    undone.shared.insert(std::move(schema));
  }
  for (std::string& schema : touched_schemas(run, schemas, Scope::tenant)) {
    undone.tenants.insert(std::move(schema));
  }
}

Undone undone_by(RunLedger& ledger, const std::string& id) {
  Undone undone;
  undone.run = ledger.find(id);
  refuse_other_runs(undone.run);
  add_touched(undone, ledger, undone.run);
  for (const std::string& retry : ledger.retries(undone.run.start.id)) {
    const RunRecord run = ledger.find(retry);
    refuse_other_runs(run);
    add_touched(undone, ledger, run);
    ++undone.retries;
  }
  return undone;
}

Migration undo_migration(const Context& context, const Undone& undone) {
  const std::string& id = undone.run.start.id;
  const std::string& shared_schema = context.settings.shared_schema;
  refuse_other_shared({undone.shared.begin(), undone.shared.end()}, shared_schema);
  Migration migration;
  migration.target = "before " + id.substr(0, 8);
  migration.of_run = id;
  migration.tenants_first = true;
  migration.shared = !undone.shared.empty();
  migration.shared_schemas = {undone.shared.begin(), undone.shared.end()};
  migration.schemas = {undone.tenants.begin(), undone.tenants.end()};
  migration.tenants = !migration.schemas.empty();
  migration.run_ids = undone.ids;
  migration.reading = [&context, ids = undone.ids](pq::Pipeline& pipeline, const Fleet& fleet,
                                                   const std::vector<std::uint32_t>& selected,
                                                   const RevisionFolder& folder) {
    const RunQuery query{.run_ids = ids,
                         .scope = folder.scope(),
                         .deadline = pq::Clock::now() + context.settings.answer_timeout};
    auto standings =
        read_run_standings(pipeline, fleet, selected, query, table_options(context.settings, ""));
    refuse_irreversible(standings, folder, ids);
    return standings;
  };
  migration.plan = [ids = undone.ids](const RevisionFolder& folder, const History& history,
                                      Missing /*missing*/) {
    return plan_undo(folder, history, ids);
  };
  migration.revise = forgive_dropped;
  return migration;
}

ExitCode run_undo(const Context& context, const std::string& id) {
  const Folders folders = read_folders(context);
  Session session(context);
  RunLedger ledger = session.ledger();
  const Undone undone = undone_by(ledger, id);
  const RunRecord& record = undone.run;
  const Migration migration = undo_migration(context, undone);
  const bool asks = !context.settings.dry_run && !context.settings.sql;
  const std::string question = fmt::format(
      "Take back what run {} ({} to {}, {}){} applied in {}{}?", record.start.id.substr(0, 8),
      record.start.command, escaped(record.start.target), record.started_at,
      undone.retries == 0 ? "" : " and its retries", counted(migration.schemas.size(), "tenant"),
      migration.shared ? " and the shared scope" : "");
  if (asks && !confirm(context, question)) {
    throw UsageError("not confirmed: nothing was touched");
  }
  return migrate(context, session, folders, migration);
}

}  // namespace

void add_undo(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("undo", "take back exactly what a run and its retries applied");
  auto id = std::make_shared<std::string>();
  command->add_option("ID", *id, "the run, or the first digits of it")->required();
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  describe_run(*command, context.settings);
  describe_dry(*command, context.settings);
  add_switch(*command, "-y,--yes", context.settings.yes, "do not ask");
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
  add_example(*command, "tenantctl undo 1a2b3c4d --yes");
  command->callback(
      [&context, id] { context.run = [&context, id] { return run_undo(context, *id); }; });
}

}  // namespace tenantctl::cli
