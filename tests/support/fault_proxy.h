#pragma once

#include <string>
#include <vector>

#include "support/database.h"
#include "support/process.h"
#include "support/temporary_folder.h"

namespace tenantctl::testing {

/// tests/proxy/fault_proxy.py in front of the tests' server, while the object lives.
class FaultProxy {
 public:
  /// `options` as the program takes them: {"--do", "cut", "--at", "sql=COMMIT"}. Throws
  /// std::runtime_error if it does not start.
  explicit FaultProxy(const std::vector<std::string>& options);

  /// The database through the proxy. TCP without TLS, which the proxy could not read.
  std::string conninfo(const TestDatabase& database) const;

  /// A line for each time that it struck.
  std::vector<std::string> strikes() const;

 private:
  TemporaryFolder folder_;
  int port_;
  RunningProcess process_;
};

/// A port on 127.0.0.1 that nobody listened on a moment ago.
int free_port();

}  // namespace tenantctl::testing
