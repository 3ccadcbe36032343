#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace tenantctl {

/// One thing that is wrong, or only strange, in a folder.
struct Finding {
  std::string message;
  Place place;
  std::string hint;
};

/// A folder that cannot be used, with everything that is wrong in it (exit 2). what() holds all
/// findings, one per line, each with file and line.
class FolderError : public UsageError {
 public:
  explicit FolderError(std::vector<Finding> findings);
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  std::vector<Finding> findings_;
};

}  // namespace tenantctl
