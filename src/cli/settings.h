#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "output/format.h"
#include "revision/new_revision.h"

namespace tenantctl::cli {

/// Everything that an option, a TENANTCTL_* variable or a key of tenantctl.toml can say. Commands
/// declare the parts they obey (describe_...), so that one option has one name, default and meaning
/// everywhere. Paths are as given; relative ones count from the configuration file's folder.
struct Settings {
  // where
  std::string database_url;
  std::string direct_url;
  std::string role;  ///< to act as; empty: as who logs in
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds answer_timeout{120'000};
  std::string migrations = "migrations";
  std::string shared_schema = "shared";
  std::string version_table = "tenantctl_version";
  std::vector<std::string> owners;
  std::string tenants_query;
  std::vector<std::string> cluster_urls;     ///< name=URL; [clusters] in the file
  std::string cluster;                       ///< out of these: the command is meant for it
  std::uint64_t max_file_size = 16U << 20U;  ///< bytes

  // which
  std::vector<std::string> schemas;
  std::vector<std::string> tenants;
  std::vector<std::string> excludes;
  std::string tenants_file;
  std::vector<std::string> states;          ///< of the registry, any of which...
  std::vector<std::string> exclude_states;  ///< ...or none of which
  std::vector<std::string> tiers;
  std::vector<std::string> isolations;
  bool only_behind = false;
  bool deep = false;        ///< trust no mark
  std::string only_failed;  ///< a run's id
  std::string scope;

  // how
  std::vector<std::string> search_path_extra;
  bool shared_in_path = false;
  std::vector<std::string> variables;
  std::chrono::milliseconds lock_timeout{1'000};
  std::chrono::milliseconds concurrent_lock_timeout{30'000};
  std::chrono::milliseconds statement_timeout{0};
  std::chrono::milliseconds lock_wait{30'000};
  std::uint32_t tries = 8;
  std::chrono::milliseconds reconnect_timeout{30'000};
  std::size_t jobs = 0;               ///< 0: what the server has room for
  std::size_t depth = 0;              ///< 0: adapts
  std::vector<std::string> canaries;  ///< one number, or names
  std::vector<std::string> waves;     ///< 1, 10%
  std::chrono::milliseconds pause{0};
  bool confirm = false;
  bool fail_fast = false;
  std::string max_failures;
  std::string max_lock_waits;
  std::chrono::milliseconds max_duration{0};     ///< 0: no limit
  std::chrono::milliseconds max_replica_lag{0};  ///< 0: no limit
  bool allow_out_of_order = false;
  bool dry_run = false;
  bool sql = false;
  std::string from;
  bool yes = false;
  bool no_ledger = false;

  // shown
  Format output = Format::text;
  bool quiet = false;
  bool verbose = false;
  std::vector<std::string> reports;  ///< files; their endings tell the format

  Numbering numbering = Numbering::timestamp;
};

}  // namespace tenantctl::cli
