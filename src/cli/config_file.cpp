#include "cli/config_file.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "cli/options.h"

namespace tenantctl::cli {
namespace {

namespace fs = std::filesystem;

void collect_keys(const CLI::App& command, std::set<std::string>& keys) {
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (name != "help" && name != "config" && name != "version")
        keys.insert(name);
    }
  }
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* /*all*/) { return true; })) {
    collect_keys(*sub, keys);
  }
}

bool has_option(const CLI::App& command, const std::string& key) {
  return command.get_option_no_throw("--" + key) != nullptr;
}

// The commands as they were given: `tenant`, `create`.
std::vector<const CLI::App*> given_commands(const CLI::App& root) {
  std::vector<const CLI::App*> chain;
  const CLI::App* command = &root;
  while (true) {
    const auto subs = command->get_subcommands();
    if (subs.empty())
      return chain;
    command = subs.front();
    chain.push_back(command);
  }
}

bool is_set_in_environment(const std::string& key) {
  const char* value = std::getenv(variable_of("--" + key).c_str());
  return value != nullptr && *value != '\0';
}

}  // namespace

std::optional<fs::path> find_config(const fs::path& start) {
  for (fs::path folder = start;; folder = folder.parent_path()) {
    std::error_code error;
    if (fs::is_regular_file(folder / "tenantctl.toml", error))
      return folder / "tenantctl.toml";
    if (folder == folder.parent_path())
      return std::nullopt;
  }
}

std::vector<std::string> known_keys(const CLI::App& root) {
  std::set<std::string> keys;
  collect_keys(root, keys);
  return {keys.begin(), keys.end()};
}

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  const std::vector<std::string> keys = known_keys(root_);
  const std::vector<const CLI::App*> chain = given_commands(root_);
  std::vector<CLI::ConfigItem> kept;
  for (CLI::ConfigItem& item : CLI::ConfigTOML::from_config(input)) {
    if (item.name == "++" || item.name == "--") {
      throw UsageError("tenantctl.toml: sections are not used", "Write all keys at the top level.");
    }
    const std::string key = item.fullname();
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      const auto near = nearest(key, keys);
      throw UsageError(fmt::format("tenantctl.toml: unknown key \"{}\"", escaped(key)),
                       near ? fmt::format("Did you mean {}?", *near)
                            : "Every long option is a key; tenantctl --help lists them.");
    }
    if (chain.empty() || !has_option(*chain.back(), key) || is_set_in_environment(key))
      continue;
    for (const CLI::App* command : chain)
      item.parents.push_back(command->get_name());
    kept.push_back(std::move(item));
  }
  return kept;
}

}  // namespace tenantctl::cli
