#include "catalog/reference_order.h"

#include <algorithm>

namespace tenantctl {

// Whoever nobody refers to any more goes first. What is left refers to each other, or is referred
// to by those that do: one statement, at whose end the foreign keys are looked at.
std::vector<std::vector<std::size_t>> erasing_order(std::size_t count, References references) {
  std::vector<std::vector<std::size_t>> steps;
  std::set<std::size_t> left;
  std::set<std::size_t> to_themselves;
  for (std::size_t i = 0; i < count; ++i) {
    left.insert(i);
    if (references.erase({i, i}) > 0) {
      to_themselves.insert(i);
    }
  }
  while (!left.empty()) {
    const auto free = std::ranges::find_if(left, [&references](std::size_t table) {
      return std::ranges::none_of(references,
                                  [table](const auto& one) { return one.second == table; });
    });
    if (free == left.end()) {
      break;
    }
    const std::size_t table = *free;
    left.erase(free);
    std::erase_if(references, [table](const auto& one) { return one.first == table; });
    steps.push_back({table});
    if (to_themselves.contains(table)) {
      steps.back().push_back(table);
    }
  }
  if (!left.empty()) {
    steps.emplace_back(left.begin(), left.end());
  }
  return steps;
}

}  // namespace tenantctl
