#include "cli/app.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "cli/cluster_entry.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/context.h"
#include "cli/reports.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "output/result_writer.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

namespace fs = std::filesystem;

struct Command {
  std::string_view name;
  void (*add)(CLI::App& app, Context& context);
};

// In the order in which the help lists them.
constexpr std::array commands{Command{"init", add_init},
                              Command{"revision", add_revision},
                              Command{"upgrade", add_upgrade},
                              Command{"upgrade-all", add_upgrade_all},
                              Command{"plan", add_plan},
                              Command{"downgrade", add_downgrade},
                              Command{"downgrade-all", add_downgrade_all},
                              Command{"runs", add_runs},
                              Command{"retry", add_retry},
                              Command{"undo", add_undo},
                              Command{"stamp", add_stamp},
                              Command{"accept-checksum", add_accept_checksum},
                              Command{"resolve", add_resolve},
                              Command{"current", add_current},
                              Command{"history", add_history},
                              Command{"status", add_status},
                              Command{"check", add_check},
                              Command{"show", add_show},
                              Command{"registry", add_registry},
                              Command{"gate", add_gate},
                              Command{"roles", add_roles},
                              Command{"rows", add_rows},
                              Command{"audit", add_audit},
                              Command{"tenant", add_tenant},
                              Command{"completion", add_completion}};

void add_commands(CLI::App& app, Context& context) {
  for (const Command& command : commands)
    command.add(app, context);
}

// Declaring the hundreds of options of all commands takes longer than many a command: where the
// first word names one, that one alone is declared. Completion tells of all.
void add_given_command(CLI::App& app, Context& context, std::string_view first_word) {
  const auto given = std::ranges::find(commands, first_word, &Command::name);
  if (given == commands.end() || given->name == "completion")
    add_commands(app, context);
  else
    given->add(app, context);
}

std::vector<std::string> keys_of_all_commands() {
  CLI::App all;
  Context context;
  add_commands(all, context);
  return known_keys(all);
}

std::vector<CLI::App*> commands_below(CLI::App& command) {
  return command.get_subcommands([](CLI::App* /*all*/) { return true; });
}

// All commands write to the same Settings, so only the given one may read its variables: those of
// another command's options would be read after the flags and beat them.
class Variables {
 public:
  explicit Variables(CLI::App& command) {
    for (CLI::Option* option : command.get_options()) {
      names_.emplace_back(option, option->get_envname());
      option->envname("");
    }
    command.preparse_callback([this](std::size_t /*arguments*/) { give_back(); });
    for (CLI::App* sub : commands_below(command)) {
      below_.push_back(std::make_unique<Variables>(*sub));
    }
  }

  // For the help of all commands.
  void give_all_back() {
    give_back();
    for (const auto& variables : below_) {
      variables->give_all_back();
    }
  }

 private:
  void give_back() {
    for (const auto& [option, name] : names_) {
      option->envname(name);
    }
  }

  std::vector<std::pair<CLI::Option*, std::string>> names_;
  std::vector<std::unique_ptr<Variables>> below_;
};

// The file is found before the command line is read, because CLI11 reads it in between.
void configure(CLI::App& app, Context& context) {
  const char* named = std::getenv("TENANTCTL_CONFIG");
  const auto found = find_config(fs::current_path());
  std::string path = found ? found->string() : "";
  if (named != nullptr && *named != '\0')
    path = named;
  app.set_config("-c,--config", path,
                 "configuration file; else TENANTCTL_CONFIG, else tenantctl.toml, upwards");
  app.config_formatter(std::make_shared<ConfigFile>(app, keys_of_all_commands));
  context.root = fs::current_path();
}

void locate_root(const CLI::App& app, Context& context) {
  const std::string path = app.get_config_ptr()->as<std::string>();
  if (path.empty())
    return;
  if (!fs::is_regular_file(path)) {
    throw UsageError(fmt::format("the configuration file {} cannot be read", escaped_name(path)),
                     "Check --config and TENANTCTL_CONFIG; tenantctl init writes one.");
  }
  context.config = fs::absolute(path);
  context.root = context.config.parent_path();
}

// libpq does not know this variable; applications do. It comes last, behind the file.
void fall_back_to_database_url(Settings& settings) {
  const char* url = std::getenv("DATABASE_URL");
  if (settings.database_url.empty() && url != nullptr) {
    settings.database_url = url;
  }
}

std::string command_name(const CLI::App& app) {
  std::string name;
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    name += (name.empty() ? "" : " ") + command->get_name();
  }
  return name;
}

const CLI::App& given_command(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty())
    command = command->get_subcommands().front();
  return *command;
}

std::vector<std::string> names_of_commands(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App* /*all*/) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> names_of_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames())
      names.push_back("--" + name);
  }
  return names;
}

// A word that nothing takes is the mistake to name: CLI11 may miss the command or the argument in
// whose place it stands before it comes to the word itself.
UsageError parse_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = given_command(app);
  const std::string name = command_name(app);
  const std::string help =
      fmt::format("tenantctl {}--help shows what can be given.", name.empty() ? "" : name + " ");
  const bool about_words = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) ||
                           error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
  const std::vector<std::string> rest = app.remaining(true);
  if (!about_words || rest.empty())
    return UsageError(without_credentials(error.what()), help);
  const std::string word = rest.front().substr(0, rest.front().find('='));
  if (word.find("://") != std::string::npos) {
    // Not repeated: it may hold a password.
    return UsageError("a URL stands where none is expected",
                      "A connection is named with --database-url or by DATABASE_URL.");
  }
  const bool is_option = word.starts_with('-');
  const auto names = is_option ? names_of_options(command) : names_of_commands(command);
  const std::string kind = is_option ? "option" : names.empty() ? "argument" : "command";
  const auto near = nearest(word, names);
  return UsageError(fmt::format("unknown {} {}", kind, escaped(word)),
                    near ? fmt::format("Did you mean {}?", *near) : help);
}

// --output json is obeyed also where the command line is so wrong that it was not read.
bool asks_for_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--output=json" || word == "-ojson")
      return true;
    if ((word == "--output" || word == "-o") && i + 1 < argc &&
        std::string_view(argv[i + 1]) == "json") {
      return true;
    }
  }
  return false;
}

int exit_with(ExitCode code) { return static_cast<int>(code); }

int report(const Context& context, ExitCode code, std::string_view kind, const Error& error) {
  write_error(*context.out, *context.err, context.settings.output, kind, error);
  annotate(context, error);
  return exit_with(code);
}

// From the most to the least special: one line each, so that the exit-code table can be read here.
int run_command(Context& context) {
  try {
    const ExitCode code = run_where_asked(context);
    // A result that nobody could read is no success.
    if (!context.out->flush()) {
      throw Error("cannot write to standard output", "The command itself has ended.");
    }
    return exit_with(code);
  } catch (const InterruptedError& error) {
    return report(context, ExitCode::interrupted, "interrupted", error);
  } catch (const UnavailableError& error) {
    return report(context, ExitCode::unavailable, "unavailable", error);
  } catch (const UsageError& error) {
    return report(context, ExitCode::usage, "usage", error);
  } catch (const pq::ConnectionLost& error) {
    return report(context, ExitCode::unavailable, "unavailable", error);
  } catch (const Error& error) {
    return report(context, ExitCode::failed, "failed", error);
  } catch (const std::exception& error) {
    return report(context, ExitCode::internal, "internal",
                  Error(fmt::format("internal error: {}", error.what()),
                        "This is a bug in tenantctl: please report it with the command line."));
  }
}

}  // namespace

int run_app(int argc, char** argv) {
  Context context;
  context.out = &std::cout;
  context.err = &std::cerr;
  CLI::App app{"tenantctl keeps a fleet of PostgreSQL tenant schemas at known versions.",
               "tenantctl"};
  app.set_version_flag("--version", "tenantctl " TENANTCTL_VERSION);
  app.set_help_all_flag("--help-all", "show the help of all commands");
  app.require_subcommand(1);
  app.fallthrough();
  std::optional<Variables> variables;
  try {
    configure(app, context);
    add_given_command(app, context, argc > 1 ? argv[1] : "");
    variables.emplace(app);
    app.parse(argc, argv);
    locate_root(app, context);
    fall_back_to_database_url(context.settings);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      variables->give_all_back();
      return app.exit(error, std::cout, std::cerr);
    }
    if (asks_for_json(argc, argv))
      context.settings.output = Format::json;
    return report(context, ExitCode::usage, "usage", parse_error(app, error));
  } catch (const UsageError& error) {
    if (asks_for_json(argc, argv))
      context.settings.output = Format::json;
    return report(context, ExitCode::usage, "usage", error);
  }
  context.command = command_name(app);
  ignore_broken_pipes();
  return run_command(context);
}

}  // namespace tenantctl::cli
