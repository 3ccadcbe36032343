#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tenantctl::testing {

/// A folder of a test's own, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();

  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  /// Absolute, without symbolic links: as a program in it sees its working folder.
  const std::filesystem::path& path() const { return path_; }

  /// Writes or replaces a file, creating the folders it stands in. Returns its whole path.
  std::filesystem::path write(const std::filesystem::path& relative, std::string_view text) const;

  /// The bytes of a file. Throws std::runtime_error if it cannot be read.
  std::string read(const std::filesystem::path& relative) const;

 private:
  std::filesystem::path path_;
};

}  // namespace tenantctl::testing
