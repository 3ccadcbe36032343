#pragma once

#include <cstdint>

namespace tenantctl {

/// One backend of the server beyond doubt: pids are used again.
struct Backend {
  int pid = 0;
  std::int64_t started = 0;  ///< backend_start in microseconds since 1970; 0: not known

  bool is_known() const { return started != 0; }
  bool operator==(const Backend&) const = default;
};

/// backend_start of the row `a` of pg_stat_activity, as Backend has it.
inline constexpr const char* started_column =
    "(EXTRACT(epoch FROM a.backend_start) * 1000000)::pg_catalog.int8";

}  // namespace tenantctl
