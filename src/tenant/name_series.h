#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tenantctl {

/// The next `count` names of a series: the prefix and a number of at least five digits, which goes
/// on behind the highest that `existing` has with that prefix, however many digits that has. A name
/// whose rest is no number is none of the series. Throws UsageError for a name that may not be
/// created.
std::vector<std::string> next_names(std::string_view prefix,
                                    const std::vector<std::string>& existing, std::size_t count);

/// The same for tenants that have no schema of that name. Throws UsageError for what is no slug.
std::vector<std::string> next_slugs(std::string_view prefix,
                                    const std::vector<std::string>& existing, std::size_t count);

/// A LIKE pattern for what begins with `prefix`.
std::string like_prefix(std::string_view prefix);

}  // namespace tenantctl
