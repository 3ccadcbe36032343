#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>

#include "output/result_writer.h"

namespace tenantctl {

/// A run's causes of failure as GitHub's workflow commands (`::error file=...::message`), which a
/// job's log turns into annotations: at most ten, as many as GitHub shows. Files are named from
/// `workspace`, the checkout's root; `folder` is where relative ones count from.
void write_annotations(std::ostream& out, const RunResult& result,
                       const std::filesystem::path& workspace, const std::filesystem::path& folder);

/// The same for the error that ended a command.
void write_annotation(std::ostream& out, const Error& error, const std::filesystem::path& workspace,
                      const std::filesystem::path& folder);

}  // namespace tenantctl
