#include "tenant/tenant_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

namespace tenantctl {
namespace {

constexpr std::string_view magic = "tenantctl tenant export ";

// On one line.
std::string encoded(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\\')
      line += "\\\\";
    else if (c == '\n')
      line += "\\n";
    else
      line += c;
  }
  return line;
}

std::string decoded(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool is_escape = line[i] == '\\' && i + 1 < line.size();
    text += !is_escape ? line[i] : line[++i] == 'n' ? '\n' : line[i];
  }
  return text;
}

[[noreturn]] void refuse(const std::string& why) {
  throw UsageError("the file is no tenant that tenantctl exported: " + why,
                   "tenantctl tenant export writes such files.");
}

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw UsageError(fmt::format("cannot {} {}: {}", what, escaped_name(path), std::strerror(errno)),
                   "");
}

}  // namespace

std::string TenantFileHeader::text() const {
  std::string text = fmt::format("{}{}\n", magic, format);
  const auto add = [&text](std::string_view key, std::string_view value) {
    text += fmt::format("{}: {}\n", key, encoded(value));
  };
  add("slug", slug);
  add("schema", schema);
  add("version-table", version_table);
  add("runtime-role", runtime_role);
  add("mark", mark);
  add("created-at", created_at);
  add("tool-version", tool_version);
  add("server-version", fmt::to_string(server_version));
  add("payload-size", fmt::to_string(payload_size));
  add("payload-sha256", sha256);
  if (text.size() >= size)
    throw Error("the tenant's names do not fit into the file's header");
  text.append(size - text.size() - 1, ' ');
  return text + '\n';
}

TenantFileHeader TenantFileHeader::parse(std::string_view text) {
  if (!text.starts_with(magic) || text.size() < size)
    refuse("it does not begin like one");
  std::map<std::string, std::string, std::less<>> values;
  std::string_view rest = text.substr(0, size);
  const std::size_t first_end = rest.find('\n');
  const int found = number_of<int>(rest.substr(magic.size(), first_end - magic.size()));
  if (found != format) {
    throw UsageError(fmt::format("the file has format {}, this tenantctl reads {}", found, format),
                     "Import it with the tenantctl that is as new as the one that wrote it.");
  }
  rest.remove_prefix(first_end + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      values.emplace(line.substr(0, colon), decoded(line.substr(colon + 2)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  TenantFileHeader header{.slug = values["slug"],
                          .schema = values["schema"],
                          .version_table = values["version-table"],
                          .runtime_role = values["runtime-role"],
                          .mark = values["mark"],
                          .created_at = values["created-at"],
                          .tool_version = values["tool-version"],
                          .server_version = number_of<int>(values["server-version"]),
                          .payload_size = number_of<std::uint64_t>(values["payload-size"]),
                          .sha256 = values["payload-sha256"]};
  if (header.schema.empty() || header.version_table.empty() || header.sha256.empty())
    refuse("its header lacks a part");
  return header;
}

NewTenantFile::NewTenantFile(std::string path)
    : path_(std::move(path)), partial_(fmt::format("{}.partial.{}", path_, ::getpid())) {
  constexpr mode_t for_owner = 0600;
  if (::access(path_.c_str(), F_OK) == 0) {
    throw UsageError(fmt::format("{} is there already", escaped_name(path_)),
                     "Name another file, or remove it first.");
  }
  file_ =
      FileDescriptor(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, for_owner));
  if (!file_.is_open())
    fail("write", path_);
}

NewTenantFile::~NewTenantFile() {
  if (!finished_ && file_.is_open())
    ::unlink(partial_.c_str());
}

void NewTenantFile::write(std::string_view bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      throw Error(fmt::format("cannot write {}: {}", escaped_name(path_), std::strerror(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(count));
    at += static_cast<std::uint64_t>(count);
  }
}

void NewTenantFile::add(std::string_view payload) {
  sha_.add(payload);
  write(payload, TenantFileHeader::size + size_);
  size_ += payload.size();
}

TenantFileHeader NewTenantFile::finish(TenantFileHeader header) {
  header.payload_size = size_;
  header.sha256 = sha_.hex();
  write(header.text(), 0);
  // A link, not a rename: that would replace a file that somebody made meanwhile.
  if (::fsync(file_.number()) != 0 || ::link(partial_.c_str(), path_.c_str()) != 0)
    throw Error(fmt::format("cannot write {}: {}", escaped_name(path_), std::strerror(errno)));
  ::unlink(partial_.c_str());
  finished_ = true;
  return header;
}

TenantFile TenantFile::open(const std::string& path) {
  TenantFile file;
  file.payload = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.payload.is_open())
    fail("read", path);
  std::string head;
  Sha256 sha;
  std::uint64_t size = 0;
  std::array<char, 65536> block{};
  while (true) {
    const ssize_t count = ::read(file.payload.number(), block.data(), block.size());
    if (count < 0)
      fail("read", path);
    if (count == 0)
      break;
    std::string_view bytes(block.data(), static_cast<std::size_t>(count));
    const std::size_t of_head = std::min(bytes.size(), TenantFileHeader::size - head.size());
    head += bytes.substr(0, of_head);
    bytes.remove_prefix(of_head);
    sha.add(bytes);
    size += bytes.size();
  }
  file.header = TenantFileHeader::parse(head);
  if (size != file.header.payload_size || sha.hex() != file.header.sha256) {
    throw UsageError(fmt::format("{} is damaged: it has {} bytes behind its header instead of {}, "
                                 "or others than were written",
                                 escaped_name(path), size, file.header.payload_size),
                     "Export the tenant once more; nothing was changed.");
  }
  ::lseek(file.payload.number(), static_cast<off_t>(TenantFileHeader::size), SEEK_SET);
  return file;
}

}  // namespace tenantctl
