#pragma once

#include <CLI/CLI.hpp>

#include "cli/context.h"

namespace tenantctl::cli {

/// One function a command: declares its flags and, when it is the one given, leaves in
/// context.run what is to be done. Each stands in a file of its own.
void add_init(CLI::App& app, Context& context);
void add_revision(CLI::App& app, Context& context);
void add_upgrade(CLI::App& app, Context& context);
void add_upgrade_all(CLI::App& app, Context& context);
void add_downgrade(CLI::App& app, Context& context);
void add_downgrade_all(CLI::App& app, Context& context);
void add_stamp(CLI::App& app, Context& context);
void add_accept_checksum(CLI::App& app, Context& context);
void add_resolve(CLI::App& app, Context& context);
void add_current(CLI::App& app, Context& context);
void add_history(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_check(CLI::App& app, Context& context);
void add_show(CLI::App& app, Context& context);
void add_runs(CLI::App& app, Context& context);
void add_retry(CLI::App& app, Context& context);
void add_undo(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_registry(CLI::App& app, Context& context);
void add_rows(CLI::App& app, Context& context);
void add_gate(CLI::App& app, Context& context);
void add_roles(CLI::App& app, Context& context);
void add_audit(CLI::App& app, Context& context);
void add_tenant(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

}  // namespace tenantctl::cli
