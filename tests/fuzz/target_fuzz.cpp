// TARGET as a user types it: read, or refused with an Error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "revision/target.h"

using namespace tenantctl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  try {
    if (Target::parse(text).text() != text) {
      std::abort();
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
