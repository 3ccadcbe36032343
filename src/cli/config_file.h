#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tenantctl::cli {

/// The nearest `tenantctl.toml` from `start` upwards, or nothing.
std::optional<std::filesystem::path> find_config(const std::filesystem::path& start);

/// Reads tenantctl.toml with CLI11's own reader and hands its keys to the command that was given.
/// Every long option of any command may stand there; one that the given command does not have is
/// passed over, one that no command has is an error naming the nearest. A TENANTCTL_* variable
/// beats the file: CLI11 would have it the other way round.
class ConfigFile : public CLI::ConfigTOML {
 public:
  /// `all_keys` is asked only about what the given command does not take.
  ConfigFile(const CLI::App& root, std::function<std::vector<std::string>()> all_keys)
      : root_(root), all_keys_(std::move(all_keys)) {}

  /// Throws UsageError (unknown key, with line where CLI11 knows it).
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

 private:
  const CLI::App& root_;
  std::function<std::vector<std::string>()> all_keys_;
};

/// Long names of all options of all commands, without the dashes: the keys that may be used.
std::vector<std::string> known_keys(const CLI::App& root);

}  // namespace tenantctl::cli
