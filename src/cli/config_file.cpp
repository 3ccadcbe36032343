#include "cli/config_file.h"

#include <fmt/format.h>

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
      if (name != "help" && name != "config" && name != "version" && option->get_configurable())
        keys.insert(name);
    }
  }
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* /*all*/) { return true; })) {
    collect_keys(*sub, keys);
  }
}

bool takes_key(const CLI::App& command, const std::string& key) {
  const CLI::Option* option = command.get_option_no_throw("--" + key);
  return option != nullptr && option->get_configurable();
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

// `[clusters]` and below it `eu = "service=eu"` is --cluster-url eu=service=eu.
bool is_of_clusters(const CLI::ConfigItem& item) {
  return item.parents.size() == 1 && item.parents.front() == "clusters";
}

CLI::ConfigItem cluster_urls_of(const std::vector<CLI::ConfigItem>& items) {
  CLI::ConfigItem urls;
  urls.name = "cluster-url";
  for (const CLI::ConfigItem& item : items) {
    if (!is_of_clusters(item) || item.name == "++" || item.name == "--")
      continue;
    if (item.inputs.size() != 1) {
      throw UsageError(fmt::format("tenantctl.toml: cluster \"{}\" has no connection string",
                                   escaped(item.name)),
                       "Write eu = \"service=eu\" below [clusters].");
    }
    urls.inputs.push_back(item.name + "=" + item.inputs.front());
  }
  return urls;
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
  std::vector<std::string> keys;
  const std::vector<const CLI::App*> chain = given_commands(root_);
  std::vector<CLI::ConfigItem> kept;
  std::vector<CLI::ConfigItem> written = CLI::ConfigTOML::from_config(input);
  CLI::ConfigItem clusters = cluster_urls_of(written);
  std::erase_if(written, is_of_clusters);
  if (!clusters.inputs.empty())
    written.push_back(std::move(clusters));
  for (CLI::ConfigItem& item : written) {
    if (item.name == "++" || item.name == "--") {
      throw UsageError("tenantctl.toml: [clusters] is the only section",
                       "Write all other keys at the top level, above it.");
    }
    const std::string key = item.fullname();
    const bool is_taken = !chain.empty() && takes_key(*chain.back(), key);
    if (!is_taken && keys.empty())
      keys = all_keys_();
    if (!is_taken && std::find(keys.begin(), keys.end(), key) == keys.end()) {
      const auto near = nearest(key, keys);
      throw UsageError(fmt::format("tenantctl.toml: unknown key \"{}\"", escaped(key)),
                       near ? fmt::format("Did you mean {}?", *near)
                            : "Every long option is a key; tenantctl --help lists them.");
    }
    if (!is_taken || is_set_in_environment(key))
      continue;
    for (const CLI::App* command : chain)
      item.parents.push_back(command->get_name());
    kept.push_back(std::move(item));
  }
  return kept;
}

}  // namespace tenantctl::cli
