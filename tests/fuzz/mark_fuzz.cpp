// A comment that anybody may have written: no mark, or one whose text is the comment again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "migrate/mark.h"

using namespace tenantctl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  const auto mark = Mark::parse(text);
  if (mark && mark->text() != text) {
    std::abort();
  }
  return 0;
}
