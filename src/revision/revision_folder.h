#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "revision/finding.h"
#include "revision/revision.h"

namespace tenantctl {

/// One scope's history on disk, `migrations/<scope>/versions`, read whole and strictly before any
/// connection is opened. Sorted by number. Holds only values; later changes on disk do not reach
/// it.
class RevisionFolder {
 public:
  struct Limits {
    std::size_t file_size = 16U << 20U;  ///< bytes; a larger file is refused before it is read
  };

  RevisionFolder() = default;
  RevisionFolder(Scope scope, std::vector<Revision> revisions);

  /// Reads every revision under `path`. A folder that does not exist is empty. Files are opened
  /// without following symlinks and without waiting for FIFOs, and read once.
  /// Throws FolderError with all findings at once: bad names, two files of one number, a missing or
  /// repeated up section, NUL bytes, invalid UTF-8, what is no regular file, files over the limit,
  /// text before the first marker, unknown options or directives, strings that never end.
  static RevisionFolder read(const std::filesystem::path& path, Scope scope, const Limits& limits);
  static RevisionFolder read(const std::filesystem::path& path, Scope scope);

  Scope scope() const { return scope_; }
  const std::vector<Revision>& revisions() const { return revisions_; }
  const std::vector<Finding>& warnings() const { return warnings_; }
  bool empty() const { return revisions_.empty(); }

  /// The revision of that number, or nullptr.
  const Revision* find(RevisionNumber number) const;

  /// How a number is written in this folder (`0012`), also for one that is not there.
  std::string digits_of(RevisionNumber number) const;

 private:
  Scope scope_ = Scope::tenant;
  std::vector<Revision> revisions_;
  std::vector<Finding> warnings_;
};

/// The revision in one file's bytes; what is wrong is added to `findings`, what is strange to
/// `warnings`. Public so that it can be fed anything (tests, a fuzzer); needs no disk.
Revision read_revision(const std::string& file, Scope scope, std::string bytes,
                       std::vector<Finding>& findings, std::vector<Finding>& warnings);

}  // namespace tenantctl
