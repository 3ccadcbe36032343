#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temporary_folder.h"

namespace tenantctl::testing {

/// The program named by TENANTCTL_BIN. Throws std::runtime_error if it is not set.
std::filesystem::path tool_binary();

/// The program as an operator has it: in a folder of its own, with nothing of the test's
/// environment but PATH and where the server is. HOME is that folder, the locale C.UTF-8, and the
/// database, if there is one, comes by DATABASE_URL. A variable of the sanitizers or of the
/// coverage count goes through.
class Tool {
 public:
  explicit Tool(const std::string& conninfo = {},
                const std::filesystem::path& binary = tool_binary());

  const TemporaryFolder& folder() const { return folder_; }

  /// For all runs from now on; nullopt takes the variable away.
  void set_variable(const std::string& name, std::optional<std::string> value);

  /// `args` without the program's name. `input` is for standard input, which then ends.
  Finished run(const std::vector<std::string>& args, const std::string& input = {}) const;

  /// On a terminal, with TERM set: see run_in_terminal in process.h.
  Finished run_in_terminal(const std::vector<std::string>& args,
                           std::vector<Answer> answers = {}) const;

  /// Beside the test. The object returned must not outlive this one's folder.
  RunningProcess start(const std::vector<std::string>& args) const;

 private:
  std::vector<std::string> command(const std::vector<std::string>& args) const;

  TemporaryFolder folder_;
  std::string binary_;
  ProcessOptions options_;
};

}  // namespace tenantctl::testing
