#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/scan.h"

namespace tenantctl::sql {

/// A byte range that holds one command, its semicolon and the white space around it left out.
struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const Piece&) const = default;
};

/// Boundaries by libpg_query's parser, or nothing if it does not know the syntax.
std::optional<std::vector<Piece>> split_by_parser(const std::string& parseable);

/// Boundaries by tokens alone: a semicolon outside parentheses and outside BEGIN ATOMIC ... END.
/// (libpg_query's own scanner split cuts inside such bodies: tried.)
std::vector<Piece> split_by_tokens(std::string_view text, const std::vector<Token>& tokens);

}  // namespace tenantctl::sql
