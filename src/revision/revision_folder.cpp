#include "revision/revision_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "revision/file_name.h"
#include "revision/revision_files.h"

namespace tenantctl {

namespace {

void sort_findings(std::vector<Finding>& findings) {
  std::ranges::stable_sort(findings, {}, [](const Finding& finding) {
    return std::tie(finding.place.file, finding.place.line);
  });
}

// Of two files with one number one would silently never run. 007 and 7 are one number.
void check_numbers(const std::vector<Revision>& revisions, std::vector<Finding>& findings) {
  for (std::size_t i = 1; i < revisions.size(); ++i) {
    const Revision& first = revisions[i - 1];
    const Revision& second = revisions[i];
    if (first.number != second.number || first.number == 0) {
      continue;
    }
    findings.push_back(
        {.message = fmt::format("has the same number as {}", first.file),
         .place = {.file = second.file, .line = 0, .column = 0, .text = {}},
         .hint = "Give one of them a number of its own; the one that was applied keeps its name."});
  }
}

bool by_number(const Revision& left, const Revision& right) {
  return std::tie(left.number, left.file) < std::tie(right.number, right.file);
}

}  // namespace

RevisionFolder::RevisionFolder(Scope scope, std::vector<Revision> revisions)
    : scope_(scope), revisions_(std::move(revisions)) {
  std::ranges::sort(revisions_, by_number);
}

RevisionFolder RevisionFolder::read(const std::filesystem::path& path, Scope scope,
                                    const Limits& limits) {
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  std::vector<Revision> revisions;
  for (RevisionFile& file : read_files(path, limits.file_size, findings)) {
    revisions.push_back(read_revision(file.path, scope, std::move(file.bytes), findings, warnings));
  }
  RevisionFolder folder(scope, std::move(revisions));
  check_numbers(folder.revisions_, findings);
  sort_findings(findings);
  sort_findings(warnings);
  if (!findings.empty()) {
    throw FolderError(std::move(findings));
  }
  folder.warnings_ = std::move(warnings);
  return folder;
}

RevisionFolder RevisionFolder::read(const std::filesystem::path& path, Scope scope) {
  return read(path, scope, Limits{});
}

const Revision* RevisionFolder::find(RevisionNumber number) const {
  const auto found = std::ranges::lower_bound(revisions_, number, {}, &Revision::number);
  return found != revisions_.end() && found->number == number ? &*found : nullptr;
}

std::string RevisionFolder::digits_of(RevisionNumber number) const {
  if (const Revision* revision = find(number)) {
    return revision->digits;
  }
  const std::size_t width = revisions_.empty() ? 1 : revisions_.back().digits.size();
  return fmt::format("{:0{}}", number, width);
}

}  // namespace tenantctl
