#pragma once

#include <cstddef>
#include <set>
#include <utility>
#include <vector>

namespace tenantctl {

/// Foreign keys between tables of one place, each table by its number: from, to.
using References = std::set<std::pair<std::size_t, std::size_t>>;

/// The order in which rows of `count` tables may be deleted: whoever refers to others goes first.
/// Read backwards it is the order in which they may be inserted. A step of several tables refers to
/// each other: one statement, at whose end the foreign keys are looked at. A table that refers to
/// itself stands twice in its step: its rows may not be parted.
std::vector<std::vector<std::size_t>> erasing_order(std::size_t count, References references);

}  // namespace tenantctl
