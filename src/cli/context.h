#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "cli/settings.h"
#include "output/live_block.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What every command has at hand: the settings, where to write, and a slot for what to run once
/// the command line is read. Owned by run_app(); commands keep references to it.
struct Context {
  Settings settings;
  std::filesystem::path root;    ///< folder of tenantctl.toml, or the working folder
  std::filesystem::path config;  ///< the file that was read; empty if none
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  std::string command;  ///< `tenant create`
  /// With --cluster, where the usual registry knows who else has which slug.
  TenantRegistry::Reserve reserve;
  std::function<std::vector<std::string>()> slugs_elsewhere;  ///< that it knows of
  std::function<ExitCode()> run;

  bool is_json() const { return settings.output == Format::json; }
  /// A path as the configuration gives it.
  std::filesystem::path path(const std::string& text) const { return root / text; }
};

/// Both streams are a person's terminal.
bool is_terminal_out();
bool is_terminal_err();
bool is_terminal_in();

/// Standard error is a terminal on which the cursor can be moved.
bool is_screen_err();
/// How large that is now; 80 x 24 if it does not tell.
TerminalSize screen_size();
/// A screen, and NO_COLOR is not set.
bool wants_colour();

/// Asks on the terminal; without one, refuses unless --yes was given. Throws UsageError then.
bool confirm(const Context& context, const std::string& question);

}  // namespace tenantctl::cli
