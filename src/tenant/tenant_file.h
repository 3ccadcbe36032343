#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "tenant/child_process.h"

namespace tenantctl {

/// What the file of an exported tenant says of itself before the dump begins. Stands in the first
/// 4096 bytes as `key: value` lines, so that `head -c 4096` shows it; the rest is an archive of
/// pg_dump's.
struct TenantFileHeader {
  static constexpr int format = 1;
  static constexpr std::size_t size = 4096;

  std::string slug = {};  ///< empty without a registry
  std::string schema = {};
  std::string version_table = {};
  std::string runtime_role = {};  ///< as which the tenant's sessions worked; mostly empty
  std::string mark = {};          ///< of the version table: revision head and digest of the history
  std::string created_at = {};
  std::string tool_version = {};
  int server_version = 0;  ///< 150018
  std::uint64_t payload_size = 0;
  std::string sha256 = {};  ///< of the payload

  std::string text() const;
  /// Throws UsageError if it is no such header, or of a later format.
  static TenantFileHeader parse(std::string_view text);
};

/// The file while it is written: under a name of its own beside the real one until it is whole and
/// on disk, so that no half of it can be taken for the tenant. Removed unless finish() was reached.
class NewTenantFile {
 public:
  /// Throws UsageError if the file is there already, or cannot be made.
  explicit NewTenantFile(std::string path);
  ~NewTenantFile();
  NewTenantFile(const NewTenantFile&) = delete;
  NewTenantFile& operator=(const NewTenantFile&) = delete;

  void add(std::string_view payload);
  /// Completes the header with what was added. Throws Error.
  TenantFileHeader finish(TenantFileHeader header);

 private:
  void write(std::string_view bytes, std::uint64_t at);

  std::string path_;
  std::string partial_;
  FileDescriptor file_;
  Sha256 sha_;
  std::uint64_t size_ = 0;
  bool finished_ = false;
};

/// The file, read: its payload is what the header says.
struct TenantFile {
  TenantFileHeader header;
  FileDescriptor payload;  ///< stands at its first byte

  /// Reads it whole. Throws UsageError if it is cut, changed, or no such file.
  static TenantFile open(const std::string& path);
};

}  // namespace tenantctl
