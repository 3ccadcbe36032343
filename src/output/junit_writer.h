#pragma once

#include <iosfwd>
#include <string_view>

#include "output/result_writer.h"

namespace tenantctl {

/// A run as JUnit XML: a test suite per schema, its result among the properties, and in it a test
/// case per revision of the plan. Those that went through passed, the one that stopped the schema
/// failed, those behind it are skipped. A schema without such a revision has one case named after
/// its result. Written as it is made, so that memory does not grow with the fleet's revisions.
void write_junit(std::ostream& out, const RunResult& result);

/// In place of a report, for a run that ended before there was one.
void write_junit_error(std::ostream& out, std::string_view command);

/// `text` for an element or an attribute: well-formed UTF-8 without what XML cannot hold.
std::string xml_text(std::string_view text);

}  // namespace tenantctl
