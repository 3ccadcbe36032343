#include "cli/config_file.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/options.h"
#include "support/temporary_folder.h"

using namespace tenantctl;
using namespace tenantctl::cli;
using tenantctl::testing::TemporaryFolder;

namespace {

/// A program with the commands `upgrade` (jobs, schema, dry-run) and `tenant create` (owner).
struct Program {
  Program() {
    CLI::App& upgrade = *app.add_subcommand("upgrade", "");
    add_setting(upgrade, "-j,--jobs", jobs, "");
    add_setting(upgrade, "--schema", schemas, "");
    add_switch(upgrade, "-n,--dry-run", dry_run, "");
    CLI::App& create = *app.add_subcommand("tenant", "")->add_subcommand("create", "");
    add_setting(create, "--owner", owner, "");
    app.require_subcommand(1);
  }

  // As run_app() does: the file is found by CLI11 and read by ConfigFile.
  void parse(const std::string& file, std::vector<std::string> arguments) {
    const TemporaryFolder folder;
    app.set_config("--config", folder.write("tenantctl.toml", file).string());
    app.config_formatter(std::make_shared<ConfigFile>(app, [this] { return known_keys(app); }));
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  }

  CLI::App app{"test"};
  std::size_t jobs = 4;
  std::vector<std::string> schemas;
  bool dry_run = false;
  std::string owner;
};

std::string complaint(const std::string& file) {
  Program program;
  try {
    program.parse(file, {"upgrade"});
  } catch (const UsageError& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "none";
}

}  // namespace

TEST_SUITE("cli/config_file") {
  TEST_CASE("the nearest file upwards is the one") {
    const TemporaryFolder folder;
    folder.write("a/b/c/x", "");
    const auto outer = folder.write("tenantctl.toml", "");
    CHECK(find_config(folder.path() / "a/b/c") == outer);
    const auto inner = folder.write("a/b/tenantctl.toml", "");
    CHECK(find_config(folder.path() / "a/b/c") == inner);
    CHECK(find_config(folder.path() / "a") == outer);
    CHECK(find_config(folder.path()) == outer);
  }

  TEST_CASE("a folder of that name is no configuration") {
    const TemporaryFolder folder;
    folder.write("a/tenantctl.toml/x", "");
    const auto outer = folder.write("tenantctl.toml", "");
    CHECK(find_config(folder.path() / "a") == outer);
  }

  TEST_CASE("where no file is there is none") { CHECK_FALSE(find_config("/proc")); }

  TEST_CASE("the keys are the long options of all commands") {
    const Program program;
    CHECK(known_keys(program.app) ==
          std::vector<std::string>{"dry-run", "jobs", "owner", "schema"});
  }

  TEST_CASE("a key goes to the command that was given") {
    Program program;
    program.parse("jobs = 7\nschema = [\"a\", \"b\"]\ndry-run = true\n", {"upgrade"});
    CHECK(program.jobs == 7);
    CHECK(program.schemas == std::vector<std::string>{"a", "b"});
    CHECK(program.dry_run);
  }

  TEST_CASE("also to a command of a command") {
    Program program;
    program.parse("owner = \"bob\"\njobs = 7\n", {"tenant", "create"});
    CHECK(program.owner == "bob");
    CHECK(program.jobs == 4);
  }

  TEST_CASE("a flag beats the file") {
    Program program;
    program.parse("jobs = 7\n", {"upgrade", "--jobs", "2"});
    CHECK(program.jobs == 2);
  }

  TEST_CASE("a variable beats the file, an empty one does not") {
    ::setenv("TENANTCTL_JOBS", "3", 1);
    Program beaten;
    beaten.parse("jobs = 7\n", {"upgrade"});
    CHECK(beaten.jobs == 3);
    ::setenv("TENANTCTL_JOBS", "", 1);
    Program program;
    program.parse("jobs = 7\n", {"upgrade"});
    CHECK(program.jobs == 7);
    ::unsetenv("TENANTCTL_JOBS");
  }

  TEST_CASE("a key that no command has is refused with the nearest") {
    CHECK(complaint("job = 7\n") == "tenantctl.toml: unknown key \"job\" / Did you mean jobs?");
    CHECK(complaint("colour-of-the-sky = 7\n") ==
          "tenantctl.toml: unknown key \"colour-of-the-sky\" / Every long option is a key; "
          "tenantctl --help lists them.");
    CHECK(complaint("help = true\n").starts_with("tenantctl.toml: unknown key \"help\""));
  }

  TEST_CASE("sections are refused") {
    CHECK(complaint("[upgrade]\njobs = 7\n") ==
          "tenantctl.toml: [clusters] is the only section / Write all other keys at the top level, "
          "above it.");
    CHECK(complaint("upgrade.jobs = 7\n").starts_with("tenantctl.toml: "));
  }

  TEST_CASE("an empty file and comments are fine") {
    CHECK(complaint("") == "none");
    CHECK(complaint("# jobs = 7\n\n") == "none");
  }

  TEST_CASE("without a command no key is used") {
    const Program program;
    const ConfigFile file(program.app, [&program] { return known_keys(program.app); });
    std::istringstream input("jobs = 7\n");
    CHECK(file.from_config(input).empty());
  }
}
