#include "revision/new_revision.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/text.h"
#include "revision/revision_folder.h"

namespace tenantctl {

namespace {

constexpr std::size_t max_slug = 80;
constexpr RevisionNumber max_number = 999'999'999'999'999'999;  // 18 digits

void trim_underscores(std::string& text) {
  text.erase(0, std::min(text.find_first_not_of('_'), text.size()));
  text.erase(text.find_last_not_of('_') + 1);
}

RevisionNumber timestamp_of(std::chrono::system_clock::time_point now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  RevisionNumber number = static_cast<int>(date.year());
  number = number * 100 + static_cast<unsigned>(date.month());
  number = number * 100 + static_cast<unsigned>(date.day());
  number = number * 100 + time.hours().count();
  number = number * 100 + time.minutes().count();
  return number * 100 + time.seconds().count();
}

// Above the head in any case: a clock can be behind, a second can see two revisions, and a folder
// may have been numbered the other way before.
std::string next_digits(const NewRevision& revision, const RevisionFolder& folder,
                        std::chrono::system_clock::time_point now) {
  const RevisionNumber head = folder.empty() ? 0 : folder.revisions().back().number;
  const bool timestamp = revision.numbering == Numbering::timestamp;
  const RevisionNumber number = timestamp ? std::max(timestamp_of(now), head + 1) : head + 1;
  if (number > max_number) {
    throw UsageError("no number is left above the head", "A number has at most 18 digits.");
  }
  constexpr std::size_t usual_width = 4;
  const std::size_t width = folder.empty() ? usual_width : folder.revisions().back().digits.size();
  return fmt::format("{:0{}}", number, width);
}

std::string text_of(const NewRevision& revision) {
  if (!revision.text.empty()) {
    return revision.text;
  }
  if (revision.repeatable) {
    return "-- Applied again whenever it changes: CREATE OR REPLACE and the like.\n\n"
           "-- migrate:up\n\n";
  }
  const std::string_view options = revision.transaction ? "" : " transaction:false";
  return fmt::format("-- migrate:up{0}\n\n-- migrate:down{0}\n\n", options);
}

bool write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return false;
    }
    if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  return true;
}

// O_EXCL: a revision that exists is history, never to be written over.
void write_file(const std::filesystem::path& path, std::string_view text) {
  constexpr mode_t mode = 0644;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  bool written = file >= 0 && write_whole(file, text);
  int code = errno;
  if (file >= 0 && ::close(file) != 0 && written) {
    written = false;
    code = errno;
  }
  if (written) {
    return;
  }
  if (file >= 0) {
    ::unlink(path.c_str());
  }
  if (code == EEXIST) {
    throw UsageError(path.string() + " is there already",
                     "Change that file, or choose another message.");
  }
  throw Error(
      fmt::format("{} cannot be written: {}", path.string(), std::generic_category().message(code)),
      "Check that the folder exists, may be written to and has room.");
}

}  // namespace

std::string slug_of(std::string_view message) {
  std::string slug;
  for (const char c : lowered(message)) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (kept) {
      slug += c;
    } else if (!slug.ends_with('_')) {
      slug += '_';
    }
  }
  trim_underscores(slug);
  slug.resize(std::min(slug.size(), max_slug));
  trim_underscores(slug);
  if (slug.empty()) {
    throw UsageError(fmt::format("\"{}\" makes no name for a revision", escaped(message)),
                     "Use some ASCII letters or digits, as in \"add invoices\".");
  }
  return slug;
}

std::filesystem::path write_revision(const NewRevision& revision,
                                     const std::filesystem::path& folder,
                                     std::chrono::system_clock::time_point now) {
  const std::string slug = slug_of(revision.message);
  const std::string name =
      revision.repeatable
          ? slug + ".sql"
          : next_digits(revision, RevisionFolder::read(folder, revision.scope), now) + "_" + slug +
                ".sql";
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) {
    throw Error(fmt::format("{} cannot be made: {}", folder.string(), code.message()),
                "Check the folder above it.");
  }
  std::filesystem::path path = folder / name;
  write_file(path, text_of(revision));
  return path;
}

}  // namespace tenantctl
