#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "cli/settings.h"

namespace tenantctl::cli {

/// Declares `--name` with its variable TENANTCTL_NAME, so that no option is without one.
template <typename Value>
CLI::Option* add_setting(CLI::App& command, const std::string& names, Value& value,
                         const std::string& help);

template <>
CLI::Option* add_setting(CLI::App& command, const std::string& names,
                         std::vector<std::string>& value, const std::string& help);

/// `--lock-timeout 2s`: a number with ms, s, min, h or d; a bare number is milliseconds.
CLI::Option* add_duration(CLI::App& command, const std::string& names,
                          std::chrono::milliseconds& value, const std::string& help);
CLI::Option* add_switch(CLI::App& command, const std::string& names, bool& value,
                        const std::string& help);

/// `--lock-timeout` -> `TENANTCTL_LOCK_TIMEOUT`.
std::string variable_of(const std::string& option);

/// The groups of options that commands share.
void describe_output(CLI::App& command, Settings& settings);
void describe_folder(CLI::App& command, Settings& settings);
void describe_connection(CLI::App& command, Settings& settings);
void describe_question(CLI::App& command, Settings& settings);  ///< output, connection, --quiet
void describe_numbering(CLI::App& command, Settings& settings);
void describe_filters(CLI::App& command, Settings& settings);    ///< --tenants, --state, ...
void describe_selection(CLI::App& command, Settings& settings);  ///< and by what is to do there
void describe_schemas(CLI::App& command, Settings& settings);    ///< --schema, repeatable
void describe_scope(CLI::App& command, Settings& settings, const std::string& help);
void describe_run(CLI::App& command, Settings& settings);    ///< how revisions run
void describe_waves(CLI::App& command, Settings& settings);  ///< --canary, --waves, budgets
void describe_dry(CLI::App& command, Settings& settings);    ///< --dry-run, --sql
void describe_plan(CLI::App& command, Settings& settings);   ///< the same and --from

/// Adds the example to the command's --help.
void add_example(CLI::App& command, const std::string& example);

}  // namespace tenantctl::cli
