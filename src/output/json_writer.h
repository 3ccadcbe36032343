#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "output/result_writer.h"

namespace tenantctl {

/// One JSON document per command, `format_version` first; within one number fields are only added.
/// tests/schemas holds the JSON Schema of each.
/// As it goes, so that a run of 10,000 schemas does not stand in memory once more as a document.
void write_json_run(std::ostream& out, const RunResult& result);
std::string json_plan(const PlanResult& result);
std::string json_sql(std::string_view command, std::string_view target, std::string_view sql);
std::string json_status(std::string_view command, const std::vector<StatusResult>& scopes,
                        const std::vector<TenantMove>& moves);
std::string json_error(std::string_view kind, const Error& error);

}  // namespace tenantctl
