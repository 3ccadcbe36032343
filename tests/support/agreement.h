#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/database.h"
#include "support/process.h"

namespace tenantctl::testing {

/// A report as JSON lines and one as JUnit, which every run of a Project writes unless its test
/// asks for reports of its own.
class Agreement {
 public:
  explicit Agreement(std::filesystem::path folder);

  /// `args` with the two reports, if they run a rollout and ask for none. Those of an earlier run
  /// are taken away.
  std::vector<std::string> reporting(std::vector<std::string> args) const;

  /// "" if the program wrote no report or if what it printed (text or JSON), both reports and the
  /// ledger tell the same counts, and these are as many as the schemas that are named one by one;
  /// otherwise what each says.
  std::string disagreement(const Finished& finished, TestDatabase& database) const;

 private:
  std::filesystem::path lines_;
  std::filesystem::path junit_;
};

}  // namespace tenantctl::testing
