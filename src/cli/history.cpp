#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "output/folder_writer.h"
#include "revision/target.h"
#include "rollout/site_visits.h"

namespace tenantctl::cli {
namespace {

void refuse_untrusted(const FoundSchema& found, const std::string& schema) {
  if (found.state == FoundSchema::State::missing || found.state == FoundSchema::State::bare) {
    const bool missing = found.state == FoundSchema::State::missing;
    throw UsageError(
        fmt::format("schema \"{}\" {}", schema,
                    missing ? "does not exist" : "has no version table"),
        missing ? "tenantctl tenant list shows all." : "tenantctl tenant adopt gives it one.");
  }
}

History rows_of(Session& session, const Context& context, pq::Pipeline& pipeline,
                const std::string& schema) {
  const Fleet there =
      read_schemas(pipeline, fleet_query(context.settings), {schema}, session.deadline());
  refuse_untrusted(there.schemas.front(), schema);
  const VersionTable table(SchemaName::existing(schema),
                           table_options(context.settings, session.run_id()));
  return read_history(pipeline, table, session.deadline());
}

/// The rows of a schema, and what reports call it: it may be in another database.
struct NamedHistory {
  std::string schema;
  History rows;
};

NamedHistory history_of(Session& session, const Context& context, const std::string& schema) {
  const Fleet named = session.named({schema});
  const FoundSchema& found = named.schemas.front();
  const Site* site = named.site_of(found);
  if (site == nullptr) {
    refuse_untrusted(found, schema);
    const VersionTable table(SchemaName::existing(schema),
                             table_options(context.settings, session.run_id()));
    return {schema, read_history(session.pipeline(), table, session.deadline())};
  }
  SiteSession there(session.connect_options(*site));
  return {found.schema, rows_of(session, context, there.pipeline(), named.local_name(found))};
}

void count_repeatables(CurrentResult::Schema& current, const RevisionFolder& folder,
                       const History& history) {
  const History rows = repeatables_of(history);
  for (const Revision& repeatable : folder.repeatables()) {
    const bool unchanged = std::any_of(rows.begin(), rows.end(), [&](const AppliedRevision& row) {
      return row.name == repeatable.slug && row.checksum == repeatable.checksum;
    });
    ++(unchanged ? current.repeatables_applied : current.repeatables_pending);
  }
  current.repeatables_applied += static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(),
      [&](const AppliedRevision& row) { return folder.find_repeatable(row.name) == nullptr; }));
}

CurrentResult::Schema current_of(const std::string& schema, const RevisionFolder& folder,
                                 const History& history) {
  const Mark mark = Mark::of(folder.scope(), history);
  CurrentResult::Schema current{.schema = schema,
                                .revision = "base",
                                .applied = mark.count,
                                .pending = 0,
                                .repeatables_applied = 0,
                                .repeatables_pending = 0,
                                .digest = mark.digest,
                                .note = {}};
  for (const AppliedRevision& row : history) {
    if (row.number == mark.head)
      current.revision = row.name;
  }
  for (const Revision& revision : folder.revisions()) {
    const bool applied =
        std::any_of(history.begin(), history.end(), [&](const AppliedRevision& row) {
          return row.number == revision.number && row.state == RowState::applied;
        });
    if (!applied)
      ++current.pending;
  }
  count_repeatables(current, folder, history);
  try {
    plan_upgrade(folder, history, Target::head());
  } catch (const Error& error) {
    current.note = error.what();
  }
  if (mark.running != 0) {
    current.note = fmt::format("revision {} stopped half-way outside a transaction",
                               folder.digits_of(mark.running));
  }
  return current;
}

ExitCode run_current(const Context& context) {
  const Settings& settings = context.settings;
  const Scope scope = scope_of_schemas(context);
  std::vector<std::string> schemas = settings.schemas;
  if (schemas.empty() && scope == Scope::shared)
    schemas.push_back(settings.shared_schema);
  if (schemas.empty()) {
    throw UsageError("current needs a schema", "Name it with --schema; status shows all.");
  }
  for (const std::string& schema : schemas)
    SchemaName::existing(schema);
  const Folders folders = read_folders(context);
  Session session(context);
  CurrentResult result;
  for (const std::string& schema : schemas) {
    const NamedHistory history = history_of(session, context, schema);
    result.schemas.push_back(current_of(history.schema, folders.of(scope), history.rows));
  }
  write_current(*context.out, settings.output, result);
  return ExitCode::ok;
}

ExitCode run_history(const Context& context) {
  const Settings& settings = context.settings;
  if (settings.schemas.size() > 1) {
    throw UsageError("history takes one schema", "Give --schema once.");
  }
  const Scope scope = scope_of_schemas(context);
  const Folders folders = read_folders(context);
  HistoryResult result{.folder = &folders.of(scope), .schema = {}, .applied = nullptr};
  NamedHistory history;
  if (!settings.schemas.empty()) {
    Session session(context);
    history = history_of(session, context, settings.schemas.front());
    result.schema = history.schema;
    result.applied = &history.rows;
  }
  write_history(*context.out, settings.output, result);
  return ExitCode::ok;
}

const Revision& revision_named(const RevisionFolder& folder, const std::string& name) {
  if (const Revision* repeatable = folder.find_repeatable(name))
    return *repeatable;
  const Target target = Target::parse(name);
  if (target.kind() != Target::Kind::revision) {
    throw UsageError(fmt::format("\"{}\" is no revision", name),
                     "Name one; tenantctl history lists them.");
  }
  return target.find_in(folder);
}

ExitCode run_show(const Context& context, const std::string& name) {
  const Folders folders = read_folders(context);
  const Scope scope = context.settings.scope == "shared" ? Scope::shared : Scope::tenant;
  write_revision_text(*context.out, context.settings.output,
                      revision_named(folders.of(scope), name));
  return ExitCode::ok;
}

constexpr auto scope_help = "shared or tenant; tenant if nothing tells";

}  // namespace

void add_current(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("current", "where one schema stands, read from its table");
  describe_schemas(*command, context.settings);
  describe_scope(*command, context.settings, scope_help);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  add_example(*command, "tenantctl current --schema tenant_acme");
  command->callback([&context] { context.run = [&context] { return run_current(context); }; });
}

void add_history(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("history", "the folder's revisions in order");
  describe_schemas(*command, context.settings);
  describe_scope(*command, context.settings, scope_help);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  add_example(*command, "tenantctl history --schema tenant_acme");
  command->callback([&context] { context.run = [&context] { return run_history(context); }; });
}

void add_show(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("show", "one revision and its SQL");
  auto revision = std::make_shared<std::string>();
  command
      ->add_option("REVISION", *revision,
                   "number, unique prefix or 0012_slug; or a repeatable's name")
      ->required();
  describe_scope(*command, context.settings, scope_help);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  add_example(*command, "tenantctl show 0012");
  command->callback([&context, revision] {
    context.run = [&context, revision] { return run_show(context, *revision); };
  });
}

}  // namespace tenantctl::cli
