#include "revision/finding.h"

#include <fmt/format.h>

#include <utility>

namespace tenantctl {

namespace {

std::string line_of(const Finding& finding) {
  const Place& place = finding.place;
  if (place.line == 0) {
    return fmt::format("{}: {}", place.file, finding.message);
  }
  return fmt::format("{}:{}: {}", place.file, place.line, finding.message);
}

std::string lines_about(const std::vector<Finding>& findings) {
  std::string lines;
  for (const Finding& finding : findings) {
    if (!lines.empty()) {
      lines += '\n';
    }
    lines += line_of(finding);
  }
  return lines;
}

// Several hints in a row would not say which finding each belongs to.
std::string only_hint(const std::vector<Finding>& findings) {
  return findings.size() == 1 ? findings.front().hint : std::string();
}

}  // namespace

FolderError::FolderError(std::vector<Finding> findings)
    : UsageError(lines_about(findings), only_hint(findings)), findings_(std::move(findings)) {}

}  // namespace tenantctl
