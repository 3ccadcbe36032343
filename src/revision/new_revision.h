#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "revision/scope.h"

namespace tenantctl {

/// How a new revision's number is made: UTC `YYYYMMDDHHMMSS`, or the next of `0001`, `0002`, ...
enum class Numbering { timestamp, sequence };

/// What `tenantctl revision` writes.
struct NewRevision {
  std::string message;  ///< becomes the slug: lower-case ASCII letters, digits and underscores
  Scope scope = Scope::tenant;
  Numbering numbering = Numbering::timestamp;
  bool transaction = true;
  bool repeatable = false;  ///< named by the slug alone, one section
  std::string text = {};    ///< the whole file; empty: its sections, to be filled in
};

/// `add invoices!` -> `add_invoices`; at most 80 bytes. Throws UsageError if nothing is left.
std::string slug_of(std::string_view message);

/// Writes a file with its sections into `folder` (made if missing) and returns its path. Its
/// number is above every number there, also when two are made in one second or a clock is behind.
/// Never overwrites a file. Throws UsageError for a bad message, FolderError if the folder cannot
/// be read, Error if it cannot be written.
std::filesystem::path write_revision(const NewRevision& revision,
                                     const std::filesystem::path& folder,
                                     std::chrono::system_clock::time_point now);

}  // namespace tenantctl
