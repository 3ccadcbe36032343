#include <fstream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "output/folder_writer.h"

namespace tenantctl::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view example_config =
    R"(# tenantctl.toml: every long option of tenantctl may stand here, without its dashes.
# A flag beats a TENANTCTL_* variable, which beats this file.

# Connection: whatever libpq takes. Without it DATABASE_URL or the PG* variables count.
# Keep passwords in ~/.pgpass or a service file, not here.
# database-url = "postgresql://migrator@localhost/app"

# Folder with shared/versions and tenant/versions, seen from this file.
# migrations = "migrations"

# The schema that holds what all tenants share.
# shared-schema = "shared"

# Numbers of new revisions: "timestamp" (UTC) or "sequence" (0001, 0002, ...).
# numbering = "timestamp"

# Schemas behind the tenant's in the search_path of revisions, usually that of the extensions.
# search-path-extra = ["public"]

# Connections to work with, and how long a statement may wait for a lock before all is undone and
# tried again.
# jobs = 4
# lock-timeout = "1s"
)";

ExitCode run(const Context& context) {
  // Here, not where an outer configuration file stands: init makes a new project.
  const fs::path here = fs::current_path();
  InitResult result;
  for (const char* scope : {"shared", "tenant"}) {
    const fs::path folder = fs::path(context.settings.migrations) / scope / "versions";
    std::error_code error;
    const bool made = fs::create_directories(here / folder, error);
    if (error) {
      throw Error("cannot make the folder " + folder.string() + ": " + error.message(),
                  "Check the rights of the folder above.");
    }
    (made ? result.made : result.kept).push_back(folder.string());
  }
  if (fs::exists(here / "tenantctl.toml")) {
    result.kept.emplace_back("tenantctl.toml");
  } else {
    std::ofstream file(here / "tenantctl.toml");
    file << example_config;
    file.close();
    if (!file)
      throw Error("cannot write tenantctl.toml", "Check the rights of this folder.");
    result.made.emplace_back("tenantctl.toml");
  }
  write_init(*context.out, context.settings.output, result);
  return ExitCode::ok;
}

}  // namespace

void add_init(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("init", "write migrations/ and a commented tenantctl.toml");
  describe_output(*command, context.settings);
  add_setting(*command, "--migrations", context.settings.migrations, "folder to make")
      ->capture_default_str();
  add_example(*command, "tenantctl init");
  command->callback([&context] { context.run = [&context] { return run(context); }; });
}

}  // namespace tenantctl::cli
