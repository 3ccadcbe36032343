#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "revision/finding.h"
#include "revision/revision.h"

namespace tenantctl {

/// One scope's history on disk, `migrations/<scope>/versions`, and what is applied behind it
/// whenever it changes, `migrations/<scope>/repeatable`; beside these what is run once in each
/// tenant, `migrations/<scope>/seeds`, which no history knows. Read whole and strictly before any
/// connection is opened. Holds only values; later changes on disk do not reach it.
class RevisionFolder {
 public:
  struct Limits {
    std::size_t file_size = 16U << 20U;  ///< bytes; a larger file is refused before it is read
  };

  /// A scope's folders. Any may be missing or empty.
  struct Paths {
    std::filesystem::path versions;
    std::filesystem::path repeatable;
    std::filesystem::path seeds = {};
    /// `versions`, `repeatable` and `seeds` in `scope_folder`.
    static Paths in(const std::filesystem::path& scope_folder);
  };

  RevisionFolder() = default;
  RevisionFolder(Scope scope, std::vector<Revision> revisions,
                 std::vector<Revision> repeatables = {}, std::vector<Revision> seeds = {});

  /// Reads every revision and repeatable. A folder that does not exist is empty. Files are opened
  /// without following symlinks and without waiting for FIFOs, and read once.
  /// Throws FolderError with all findings at once: bad names, two files of one number, a missing or
  /// repeated up section, NUL bytes, invalid UTF-8, what is no regular file, files over the limit,
  /// text before the first marker, unknown options or directives, strings that never end; in a
  /// repeatable or a seed also a down section and `transaction:false`; parameters elsewhere than in
  /// a seed.
  static RevisionFolder read(const Paths& paths, Scope scope, const Limits& limits);
  /// Revisions alone, from one folder.
  static RevisionFolder read(const std::filesystem::path& path, Scope scope, const Limits& limits);
  static RevisionFolder read(const std::filesystem::path& path, Scope scope);

  Scope scope() const { return scope_; }
  /// Sorted by number.
  const std::vector<Revision>& revisions() const { return revisions_; }
  /// Sorted by name.
  const std::vector<Revision>& repeatables() const { return repeatables_; }
  /// Sorted by name, the order in which they run.
  const std::vector<Revision>& seeds() const { return seeds_; }
  const std::vector<Finding>& warnings() const { return warnings_; }
  bool empty() const { return revisions_.empty(); }
  /// Neither a revision nor a repeatable: a schema for this scope would stay bare.
  bool is_blank() const { return revisions_.empty() && repeatables_.empty(); }

  /// The revision of that number, or nullptr.
  const Revision* find(RevisionNumber number) const;
  /// The repeatable of that name, or nullptr.
  const Revision* find_repeatable(std::string_view name) const;

  /// The seed of that name, or nullptr.
  const Revision* find_seed(std::string_view name) const;

  /// How a number is written in this folder (`0012`), also for one that is not there.
  std::string digits_of(RevisionNumber number) const;

 private:
  Scope scope_ = Scope::tenant;
  std::vector<Revision> revisions_;
  std::vector<Revision> repeatables_;
  std::vector<Revision> seeds_;
  std::vector<Finding> warnings_;
};

/// The revision in one file's bytes; what is wrong is added to `findings`, what is strange to
/// `warnings`. Public so that it can be fed anything (tests, a fuzzer); needs no disk.
Revision read_revision(const std::string& file, Scope scope, std::string bytes,
                       std::vector<Finding>& findings, std::vector<Finding>& warnings);

/// The same for a repeatable: one up section, whose marker may be left out.
Revision read_repeatable(const std::string& file, Scope scope, std::string bytes,
                         std::vector<Finding>& findings, std::vector<Finding>& warnings);

/// The same for a seed, which may have parameters.
Revision read_seed(const std::string& file, Scope scope, std::string bytes,
                   std::vector<Finding>& findings, std::vector<Finding>& warnings);

/// A finding for each `requires shared N` of the tenants' folder whose N is not in the shared one.
std::vector<Finding> check_requirements(const RevisionFolder& tenant, const RevisionFolder& shared);

}  // namespace tenantctl
