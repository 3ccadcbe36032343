#pragma once

#include <span>
#include <string_view>

#include "sql/scan.h"
#include "sql/script.h"

namespace tenantctl::sql {

/// What one statement's tokens tell about it, whatever the parser thinks of it.
struct Classification {
  StatementKind kind = StatementKind::ordinary;
  bool needs_autocommit = false;
  bool leaves_traces = false;
  bool calls = false;
  bool inert = false;
  bool adds_default = false;
};

/// `tokens` are those of one statement, comments included; they are ranges of `text`, whose bytes
/// `parseable` has in a form that libpg_query may know.
Classification classify(std::string_view text, std::string_view parseable,
                        std::span<const Token> tokens);

}  // namespace tenantctl::sql
