#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "revision/finding.h"

namespace tenantctl {

/// The bytes of one file as they were when it was read.
struct RevisionFile {
  std::string path;  ///< the folder as given, and the file's name
  std::string bytes;
};

/// What a folder's files are: by it their names are judged.
enum class FileKind { revision, repeatable, seed };

/// Reads every file of `folder` that is named as `kind` asks, once, in no certain order. What
/// cannot be read, or should not be (symlinks, FIFOs, files over `size_limit`), is added to
/// `findings`. A folder that does not exist holds nothing.
///
/// The folder is opened once and its files through that handle: renaming it meanwhile mixes
/// nothing.
std::vector<RevisionFile> read_files(const std::filesystem::path& folder, FileKind kind,
                                     std::size_t size_limit, std::vector<Finding>& findings);

}  // namespace tenantctl
