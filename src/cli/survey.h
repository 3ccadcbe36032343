#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cli/session.h"

namespace tenantctl::cli {

/// Reads where schemas of one database stand. Called on several threads at once, for different
/// databases.
using Reading = std::function<std::vector<Standing>(pq::Pipeline& pipeline, const Fleet& fleet,
                                                    const std::vector<std::uint32_t>& selected,
                                                    const RevisionFolder& folder)>;

/// By their marks, or by their rows, trusting no mark.
Reading marks_reading(const Context& context, const Session& session);
Reading rows_reading(const Context& context, const Session& session);

/// Schemas of one scope that are asked about. Views the caller's.
struct SurveyPart {
  const Fleet* fleet = nullptr;
  std::vector<std::uint32_t> members;
  const RevisionFolder* folder = nullptr;
};

/// What is read in several databases at once.
struct SurveyOptions {
  Reading reading;
  /// Whose rows tell schemas apart that are the same otherwise.
  std::set<std::string> run_ids = {};
};

/// Where the schemas of each part stand: those here by the session's connection, those in other
/// databases by a short connection to each, as many at a time as --jobs allows and one database
/// only once for all parts. Schemas of a database that cannot be reached are `unavailable`.
std::vector<std::vector<Standing>> survey(Session& session, const Context& context,
                                          const std::vector<SurveyPart>& parts,
                                          const SurveyOptions& options);

/// How many databases are looked into at once.
std::size_t connections_for(const Context& context);

/// Adds the shared schema of every other database that the selected tenants live in.
void add_shared(Fleet& shared, const Context& context, const Fleet& tenants,
                const std::vector<std::uint32_t>& selected);

}  // namespace tenantctl::cli
