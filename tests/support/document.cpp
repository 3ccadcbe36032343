#include "support/document.h"

#include <stdexcept>

#include "support/project.h"

namespace tenantctl::testing {

nlohmann::json document(const Finished& finished) {
  nlohmann::json parsed = nlohmann::json::parse(finished.out, nullptr, false);
  if (parsed.is_discarded())
    throw std::runtime_error(fault(finished, 0, {"a JSON document"}));
  return parsed;
}

}  // namespace tenantctl::testing
