#pragma once

namespace tenantctl::cli {

/// The whole program: reads the command line and configuration, runs one command, turns what was
/// thrown into a message and an exit code. The one place where every exception ends.
int run_app(int argc, char** argv);

}  // namespace tenantctl::cli
