// The reader of a revision's file: findings or a revision, never anything else. The first byte
// decides what the file is.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "revision/revision.h"
#include "revision/revision_folder.h"

using namespace tenantctl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  std::string text(reinterpret_cast<const char*>(bytes + 1), size - 1);
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  try {
    if (bytes[0] % 2 == 0) {
      read_revision("versions/0001_x.sql", Scope::tenant, std::move(text), findings, warnings);
    } else {
      read_repeatable("repeatable/x.sql", Scope::shared, std::move(text), findings, warnings);
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
