#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "support/database.h"
#include "support/tenantctl.h"

namespace tenantctl::testing {

/// A product as its engineer has it: a database of its own, a folder with revisions, and the tool
/// that works on both. Quiet, so that only what goes wrong stands in `err`; numbering is as
/// written.
class Project {
 public:
  Project();

  /// `tenant/0001_a.sql`, or `tenant/repeatable/a.sql`; with a down section unless `down` is empty.
  /// Replaces a file of that name.
  void write(const std::string& file, const std::string& up, const std::string& down = {});

  /// `tenant/0001_a.sql` as it is to be, markers and all.
  void write_raw(const std::string& file, const std::string& text);
  void remove(const std::string& file);

  /// Revisions 0001_a, 0002_b, 0003_c of the tenant scope, each with a table of its letter.
  void write_abc();

  /// Throws std::runtime_error if what it printed, its reports and the ledger do not tell the same
  /// counts: see Agreement.
  Finished run(const std::vector<std::string>& args, const std::string& input = {}) const;

  /// Runs what must succeed. Throws std::runtime_error with its output if it does not.
  std::string must(const std::vector<std::string>& args) const;

  /// `count` tenants t001, t002, ... at the folder's head; the names are returned.
  std::vector<std::string> create_tenants(int count) const;

  /// `0002_b`, from the version table; "base" if it is empty.
  std::string revision_of(const std::string& schema);

  bool has_table(const std::string& schema, const std::string& table);
  bool has_schema(const std::string& schema);

  /// Ends what a killed program left at the server, in this database and those named after it, and
  /// waits until it is gone. Throws std::runtime_error after ten seconds.
  void end_sessions_of_the_tool() const;

  mutable TestDatabase database;
  Tool tool;
};

/// "" if the program ended with `exit_code` and each part stands in what it wrote; otherwise what
/// is missing, and all that it wrote. For CHECK(fault(...) == ""), which then shows it.
std::string fault(const Finished& finished, int exit_code,
                  std::initializer_list<std::string_view> parts = {});

/// Revisions 0001 to `count`, each with a table, a row in a journal that knows no unique key, and
/// `more` between them.
void write_journal(Project& project, int count, const std::string& more = {});

/// All bytes of a file.
std::string text_of(const std::filesystem::path& path);

bool contains(std::string_view text, std::string_view part);
std::vector<std::string> lines_of(const std::string& text);

/// The checkout, for tests that compare documents with the program (TENANTCTL_SOURCE_DIR).
std::filesystem::path source_folder();

/// What schema_errors() finds wrong with standard output by tests/schemas/NAME.schema.json.
std::string judged(const Finished& finished, const std::string& name);

/// An older pg_dump refuses a newer server, and so does the tool: then copies cannot be tried.
bool has_fitting_pg_dump(Project& project);

/// A URL where nobody listens.
inline constexpr auto unreachable_url = "postgresql://nobody@127.0.0.1:1/nothing";

}  // namespace tenantctl::testing
