#pragma once

namespace tenantctl::cli {

/// What the process tells its caller. The README's table is this enum (a test compares them).
enum class ExitCode {
  ok = 0,            ///< done, or nothing to do
  failed = 1,        ///< at least one selected schema is not where it should be
  usage = 2,         ///< arguments, configuration or folder wrong; nothing was touched
  unavailable = 3,   ///< no connection, or the single selected schema stayed busy
  findings = 4,      ///< a judging command found something
  internal = 70,     ///< a bug
  interrupted = 130  ///< SIGINT or SIGTERM
};

}  // namespace tenantctl::cli
