#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "catalog/row_protection.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/shared_rows.h"
#include "cli/tenants.h"
#include "output/rows_writer.h"
#include "revision/new_revision.h"
#include "tenant/gate.h"

namespace tenantctl::cli {
namespace {

struct ProtectOptions {
  std::string home;
  std::string backfill;
  std::string backfill_tenant;
  HomeTables tables;
  ProtectionOptions protection;
};

void check_options(const ProtectOptions& options) {
  if (!options.backfill.empty() && !options.backfill_tenant.empty()) {
    throw UsageError("--backfill and --backfill-tenant say the same in two ways",
                     "Give one of them.");
  }
  if (!options.backfill_tenant.empty() && !TenantRegistry::is_slug(options.backfill_tenant)) {
    throw UsageError(fmt::format("\"{}\" is no slug", escaped_name(options.backfill_tenant)),
                     "--backfill-tenant takes a tenant's slug.");
  }
}

// By slug, so that the file means the same tenant in every database.
std::string backfill_of(const ProtectOptions& options) {
  if (options.backfill_tenant.empty())
    return options.backfill;
  return fmt::format("SELECT t.id FROM tenantctl.tenant t WHERE t.slug = {}",
                     quote_literal(options.backfill_tenant));
}

std::string home_of(const Context& context, Session& session, const std::string& asked) {
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (place.is_home() && (asked.empty() || place.schema == asked))
      homes.push_back(place.schema);
  }
  if (homes.size() == 1)
    return homes.front();
  if (homes.empty()) {
    throw UsageError(asked.empty()
                         ? "there is no home of shared rows in this database"
                         : fmt::format("{} is no home of shared rows", escaped_name(asked)),
                     "tenantctl tenant create NAME --isolation rows --home SCHEMA makes one.");
  }
  throw UsageError(
      fmt::format("there are several homes of shared rows: {}", fmt::join(homes, ", ")),
      "Name one with --home.");
}

// What is written follows from the home as it is, so that must be all that the folder says.
void check_at_head(Session& session, const Folders& folders, const std::string& home) {
  const Fleet fleet = session.schemas({home});
  const auto mark = Mark::parse(fleet.comment_of(fleet.schemas.front()));
  const auto& revisions = folders.tenant.revisions();
  const RevisionNumber head = revisions.empty() ? 0 : revisions.back().number;
  if (!mark || mark->head != head) {
    throw UsageError(fmt::format("home {} is not at the folder's head", escaped_name(home)),
                     fmt::format("tenantctl upgrade --schema {} takes it there.", home));
  }
}

void check_tenant(const Context& context, Session& session, const std::string& slug) {
  if (slug.empty())
    return;
  const auto found = tenant_registry(context, session).find({slug});
  if (std::ranges::count(found, slug, &RegisteredTenant::slug) == 0) {
    throw UsageError(fmt::format("no tenant \"{}\" is registered", slug),
                     "Register it first: tenantctl tenant create NAME --isolation rows.");
  }
}

void check_gate(const Context& context, Session& session) {
  if (!tenant_gate(context, session).show()) {
    throw UsageError(
        "there is no gate in this database: columns and policies ask it for the tenant",
        "tenantctl gate install makes it.");
  }
}

std::vector<std::string> write_files(const Context& context, const Protection& protection) {
  const auto folder =
      RevisionFolder::Paths::in(context.path(context.settings.migrations) / to_text(Scope::tenant))
          .versions;
  std::vector<std::string> paths;
  for (const ProtectionFile& file : protection.files) {
    const auto path = write_revision({.message = file.message,
                                      .scope = Scope::tenant,
                                      .numbering = context.settings.numbering,
                                      .transaction = file.transaction,
                                      .repeatable = false,
                                      .text = file.text},
                                     folder, std::chrono::system_clock::now());
    paths.push_back(path.lexically_proximate(std::filesystem::current_path()).string());
  }
  return paths;
}

ExitCode run(const Context& context, const ProtectOptions& options) {
  check_options(options);
  const Folders folders = read_folders(context);
  Session session(context);
  RowsProtected result;
  result.home = home_of(context, session, options.home);
  check_gate(context, session);
  check_tenant(context, session, options.backfill_tenant);
  check_at_head(session, folders, result.home);
  SharedHome home = SharedHome::read(session.pipeline(), result.home, options.tables.tenant_column,
                                     context.settings.version_table, session.deadline());
  home.read_filled(session.pipeline(), session.deadline());
  ProtectionOptions wanted = options.protection;
  wanted.common = options.tables.common;
  wanted.backfill = backfill_of(options);
  Protection protection = plan_protection(home, wanted);
  result.files = write_files(context, protection);
  result.tables = std::move(protection.tables);
  result.warnings = std::move(protection.warnings);
  write_rows_protected(*context.out, context.settings.output, result);
  return ExitCode::ok;
}

void add_protect(CLI::App& rows, Context& context) {
  CLI::App* command =
      rows.add_subcommand("protect", "write the revisions that keep tenants' rows apart");
  auto options = std::make_shared<ProtectOptions>();
  add_setting(*command, "--home", options->home, "home of shared rows; else the only one");
  add_setting(*command, "--table", options->protection.tables,
              "table of the home; else all that are not protected (repeatable)");
  describe_home_tables(*command, options->tables);
  add_setting(*command, "--backfill-tenant", options->backfill_tenant,
              "slug of the tenant whose the rows are that are there");
  add_setting(*command, "--backfill", options->backfill,
              "the same as an SQL expression over the columns of each table");
  describe_numbering(*command, context.settings);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  add_example(*command, "tenantctl rows protect --common countries --backfill-tenant acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace

void add_rows(CLI::App& app, Context& context) {
  CLI::App* rows = app.add_subcommand("rows", "tables that tenants share");
  rows->require_subcommand(1);
  add_example(*rows, "tenantctl rows protect");
  add_protect(*rows, context);
}

}  // namespace tenantctl::cli
