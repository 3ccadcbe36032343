#include "revision/revision_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "revision/file_name.h"

namespace tenantctl {

namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  ~FileDescriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }

  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int value() const { return value_; }

 private:
  int value_;
};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::string system_message(int code) { return std::generic_category().message(code); }

std::string_view name_of_type(mode_t mode) {
  if (S_ISLNK(mode)) {
    return "a symbolic link";
  }
  if (S_ISDIR(mode)) {
    return "a folder";
  }
  if (S_ISFIFO(mode)) {
    return "a FIFO";
  }
  if (S_ISSOCK(mode)) {
    return "a socket";
  }
  return "a device";
}

// Reads one folder and collects what is wrong with it.
class FolderReader {
 public:
  FolderReader(const std::filesystem::path& path, FileKind kind, std::size_t size_limit,
               std::vector<Finding>& findings)
      : path_(path), kind_(kind), size_limit_(size_limit), findings_(findings) {}

  std::vector<RevisionFile> read() {
    open_folder();
    if (!folder_) {
      return {};
    }
    errno = 0;
    while (const dirent* entry = ::readdir(folder_.get())) {
      read_entry(std::string(static_cast<const char*>(entry->d_name)));
      errno = 0;
    }
    if (errno != 0) {
      report({}, fmt::format("cannot be listed: {}", system_message(errno)));
    }
    return std::move(files_);
  }

 private:
  void open_folder() {
    folder_.reset(::opendir(path_.c_str()));
    if (folder_) {
      return;
    }
    const int code = errno;
    if (code == ENOENT) {
      return;
    }
    if (code == ENOTDIR) {
      report({}, "is not a folder");
    } else {
      report({}, fmt::format("cannot be opened: {}", system_message(code)),
             "The folder must be readable by the user who runs this program.");
    }
  }

  void read_entry(const std::string& name) {
    if (is_unrelated(name)) {
      return;
    }
    struct stat status {};
    if (::fstatat(handle(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      report(name, fmt::format("cannot be read: {}", system_message(errno)));
      return;
    }
    if (!is_named_right(name)) {
      // A sub-folder with a name of its own is nobody's revision.
      if (!S_ISDIR(status.st_mode)) {
        report_name(name);
      }
      return;
    }
    if (!is_regular(name, status.st_mode)) {
      return;
    }
    read_file(name);
  }

  // Opening a device can do something, opening a FIFO can wait: the type is asked first, and again
  // of what was opened, since the name may mean another file by then.
  void read_file(const std::string& name) {
    const FileDescriptor file(
        ::openat(handle(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (file.value() < 0 || ::fstat(file.value(), &status) != 0) {
      report(name, fmt::format("cannot be opened: {}", system_message(errno)));
      return;
    }
    if (!is_regular(name, status.st_mode)) {
      return;
    }
    if (std::cmp_greater(status.st_size, size_limit_)) {
      report_size(name);
      return;
    }
    read_bytes(name, file);
  }

  void read_bytes(const std::string& name, const FileDescriptor& file) {
    RevisionFile read{.path = (path_ / name).string(), .bytes = {}};
    std::array<char, std::size_t{64} * 1024> buffer{};
    while (true) {
      const ssize_t count = ::read(file.value(), buffer.data(), buffer.size());
      if (count == 0) {
        break;
      }
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0) {
        report(name, fmt::format("cannot be read: {}", system_message(errno)));
        return;
      }
      read.bytes.append(buffer.data(), static_cast<std::size_t>(count));
      if (read.bytes.size() > size_limit_) {  // it grows while we read
        report_size(name);
        return;
      }
    }
    files_.push_back(std::move(read));
  }

  bool is_regular(const std::string& name, mode_t mode) {
    if (S_ISREG(mode)) {
      return true;
    }
    report(name, fmt::format("is {}", name_of_type(mode)), "A revision must be a regular file.");
    return false;
  }

  bool is_named_right(const std::string& name) const {
    return kind_ == FileKind::revision ? FileName::parse(name).has_value()
                                       : repeatable_name(name).has_value();
  }

  void report_name(const std::string& name) {
    if (kind_ != FileKind::revision) {
      report(name,
             fmt::format("is not named like a {}", kind_ == FileKind::seed ? "seed" : "repeatable"),
             fmt::format("A name is a slug of ASCII letters, digits, _, - and ., and .sql: {}.sql.",
                         kind_ == FileKind::seed ? "first_admin" : "invoice_totals"));
      return;
    }
    report(name, "is not named like a revision",
           "A name is up to 18 digits, an underscore, a slug and .sql: 0012_backfill_total.sql.");
  }

  void report_size(const std::string& name) {
    report(name, fmt::format("is larger than {} bytes", size_limit_),
           "Load rows with a tool for it, or split the revision.");
  }

  // A name from the disk may hold anything: it must not reach a terminal as it is.
  void report(const std::string& name, std::string message, std::string hint = {}) {
    const std::filesystem::path path = name.empty() ? path_ : path_ / name;
    findings_.push_back(
        {.message = std::move(message),
         .place = {.file = escaped_name(path.string()), .line = 0, .column = 0, .text = {}},
         .hint = std::move(hint)});
  }

  int handle() const { return ::dirfd(folder_.get()); }

  const std::filesystem::path& path_;
  FileKind kind_;
  std::size_t size_limit_;
  std::vector<Finding>& findings_;
  Folder folder_;
  std::vector<RevisionFile> files_;
};

}  // namespace

std::vector<RevisionFile> read_files(const std::filesystem::path& folder, FileKind kind,
                                     std::size_t size_limit, std::vector<Finding>& findings) {
  return FolderReader(folder, kind, size_limit, findings).read();
}

}  // namespace tenantctl
