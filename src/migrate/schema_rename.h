#pragma once

#include <string>
#include <vector>

#include "migrate/version_table.h"
#include "pq/pipeline.h"
#include "tenant/stored_texts.h"

namespace tenantctl {

/// Gives one tenant's schema another name, under the schema's lock, with everything that is to
/// change along with it, in one transaction. What refers to its objects by oid follows; the mark
/// stays with its table. Texts that say the old name are found in the same transaction, so that
/// what was judged is what is kept.
class SchemaRename {
 public:
  struct Request {
    SchemaName to;
    std::string shared_schema;
    bool forces = false;  ///< although texts name the old schema
    std::vector<pq::Message> alongside = {};
  };

  SchemaRename(pq::Pipeline& pipeline, const VersionTable& table)
      : pipeline_(pipeline), table_(table) {}

  /// The texts that name the old schema. If there are any, nothing was changed, unless it forces.
  /// Throws UnavailableError if another session holds the schema's lock, UsageError if the new name
  /// is taken, Error if the schema is gone, ServerError, ConnectionLost (then nobody knows).
  std::vector<StoredText> run(Request request, pq::Deadline deadline);

 private:
  [[noreturn]] void explain(const pq::ServerError& error, const SchemaName& to) const;

  pq::Pipeline& pipeline_;
  const VersionTable& table_;
};

}  // namespace tenantctl
