#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "output/result_writer.h"

namespace tenantctl {

/// A run for people who read it on a page: counts, causes with an example each, the slowest and the
/// retried. Bounded like the text on a terminal.
void write_markdown(std::ostream& out, const RunResult& result);

/// A server's or a user's text as Markdown code, within a line or a table.
std::string markdown_code(std::string_view text);

}  // namespace tenantctl
