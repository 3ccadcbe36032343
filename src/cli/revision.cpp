#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "output/folder_writer.h"
#include "revision/new_revision.h"

namespace tenantctl::cli {
namespace {

struct RevisionOptions {
  std::string message;
  bool no_transaction = false;
  bool repeatable = false;
};

ExitCode run(const Context& context, const RevisionOptions& options) {
  const Settings& settings = context.settings;
  if (settings.scope.empty() && settings.schemas.empty()) {
    throw UsageError("revision needs a scope", "Say --scope shared or --scope tenant.");
  }
  if (options.repeatable && options.no_transaction) {
    throw UsageError("a repeatable runs in a transaction", "Leave --no-transaction out.");
  }
  for (const std::string& schema : settings.schemas)
    SchemaName::existing(schema);
  const Scope scope = scope_of_schemas(context);
  const auto paths = RevisionFolder::Paths::in(context.path(settings.migrations) / to_text(scope));
  const auto path = write_revision({.message = options.message,
                                    .scope = scope,
                                    .numbering = settings.numbering,
                                    .transaction = !options.no_transaction,
                                    .repeatable = options.repeatable,
                                    .text = {}},
                                   options.repeatable ? paths.repeatable : paths.versions,
                                   std::chrono::system_clock::now());
  write_revision_file(*context.out, settings.output,
                      path.lexically_proximate(std::filesystem::current_path()).string(), scope);
  return ExitCode::ok;
}

}  // namespace

void add_revision(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("revision", "write a new revision");
  auto options = std::make_shared<RevisionOptions>();
  command->add_option("MESSAGE", options->message, "what it does; becomes the file's name")
      ->required();
  describe_scope(*command, context.settings, "shared or tenant");
  add_setting(*command, "-s,--schema", context.settings.schemas,
              "a schema of that scope; checked against it, not used else");
  describe_numbering(*command, context.settings);
  add_switch(*command, "--no-transaction", options->no_transaction,
             "sections run outside a transaction (CREATE INDEX CONCURRENTLY)");
  add_switch(*command, "--repeatable", options->repeatable,
             "a view or function, applied again whenever its file changes");
  describe_output(*command, context.settings);
  add_setting(*command, "--migrations", context.settings.migrations,
              "folder with shared/versions and tenant/versions")
      ->capture_default_str();
  add_setting(*command, "--shared-schema", context.settings.shared_schema,
              "schema of the shared scope")
      ->capture_default_str();
  add_example(*command, "tenantctl revision \"add invoices\" --scope tenant");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace tenantctl::cli
