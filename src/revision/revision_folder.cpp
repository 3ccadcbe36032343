#include "revision/revision_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "revision/file_name.h"
#include "revision/revision_files.h"

namespace tenantctl {

namespace {

struct Reading {
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
};

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

std::vector<Revision> read_revisions(const std::filesystem::path& path, FileKind kind, Scope scope,
                                     const RevisionFolder::Limits& limits, Reading& reading) {
  const auto read_one = kind == FileKind::revision     ? read_revision
                        : kind == FileKind::repeatable ? read_repeatable
                                                       : read_seed;
  std::vector<Revision> revisions;
  for (RevisionFile& file : read_files(path, kind, limits.file_size, reading.findings)) {
    revisions.push_back(
        read_one(file.path, scope, std::move(file.bytes), reading.findings, reading.warnings));
  }
  return revisions;
}

bool by_number(const Revision& left, const Revision& right) {
  return std::tie(left.number, left.file) < std::tie(right.number, right.file);
}

}  // namespace

RevisionFolder::Paths RevisionFolder::Paths::in(const std::filesystem::path& scope_folder) {
  return {.versions = scope_folder / "versions",
          .repeatable = scope_folder / "repeatable",
          .seeds = scope_folder / "seeds"};
}

RevisionFolder::RevisionFolder(Scope scope, std::vector<Revision> revisions,
                               std::vector<Revision> repeatables, std::vector<Revision> seeds)
    : scope_(scope),
      revisions_(std::move(revisions)),
      repeatables_(std::move(repeatables)),
      seeds_(std::move(seeds)) {
  std::ranges::sort(revisions_, by_number);
  std::ranges::sort(repeatables_, {}, &Revision::slug);
  std::ranges::sort(seeds_, {}, &Revision::slug);
}

RevisionFolder RevisionFolder::read(const Paths& paths, Scope scope, const Limits& limits) {
  Reading reading;
  std::vector<Revision> revisions =
      read_revisions(paths.versions, FileKind::revision, scope, limits, reading);
  std::vector<Revision> repeatables;
  if (!paths.repeatable.empty()) {
    repeatables = read_revisions(paths.repeatable, FileKind::repeatable, scope, limits, reading);
  }
  std::vector<Revision> seeds;
  if (!paths.seeds.empty()) {
    seeds = read_revisions(paths.seeds, FileKind::seed, scope, limits, reading);
  }
  RevisionFolder folder(scope, std::move(revisions), std::move(repeatables), std::move(seeds));
  check_numbers(folder.revisions_, reading.findings);
  sort_findings(reading.findings);
  sort_findings(reading.warnings);
  if (!reading.findings.empty()) {
    throw FolderError(std::move(reading.findings));
  }
  folder.warnings_ = std::move(reading.warnings);
  return folder;
}

RevisionFolder RevisionFolder::read(const std::filesystem::path& path, Scope scope,
                                    const Limits& limits) {
  return read(Paths{.versions = path, .repeatable = {}, .seeds = {}}, scope, limits);
}

RevisionFolder RevisionFolder::read(const std::filesystem::path& path, Scope scope) {
  return read(path, scope, Limits{});
}

const Revision* RevisionFolder::find(RevisionNumber number) const {
  const auto found = std::ranges::lower_bound(revisions_, number, {}, &Revision::number);
  return found != revisions_.end() && found->number == number ? &*found : nullptr;
}

const Revision* RevisionFolder::find_repeatable(std::string_view name) const {
  const auto found = std::ranges::lower_bound(repeatables_, name, {}, &Revision::slug);
  return found != repeatables_.end() && found->slug == name ? &*found : nullptr;
}

const Revision* RevisionFolder::find_seed(std::string_view name) const {
  const auto found = std::ranges::lower_bound(seeds_, name, {}, &Revision::slug);
  return found != seeds_.end() && found->slug == name ? &*found : nullptr;
}

std::string RevisionFolder::digits_of(RevisionNumber number) const {
  if (const Revision* revision = find(number)) {
    return revision->digits;
  }
  const std::size_t width = revisions_.empty() ? 1 : revisions_.back().digits.size();
  return fmt::format("{:0{}}", number, width);
}

std::vector<Finding> check_requirements(const RevisionFolder& tenant,
                                        const RevisionFolder& shared) {
  std::vector<Finding> findings;
  for (const auto* revisions : {&tenant.revisions(), &tenant.repeatables()}) {
    for (const Revision& revision : *revisions) {
      for (const Requirement& requirement : revision.requires_shared) {
        if (shared.find(requirement.number) != nullptr) {
          continue;
        }
        findings.push_back(
            {.message = fmt::format("requires the shared revision {}, which is not in the folder",
                                    shared.digits_of(requirement.number)),
             .place = {.file = revision.file, .line = requirement.line, .column = 1, .text = {}},
             .hint = "Name a revision of the shared scope by its number."});
      }
    }
  }
  return findings;
}

}  // namespace tenantctl
