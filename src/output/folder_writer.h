#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/history.h"
#include "output/format.h"
#include "revision/revision_folder.h"

namespace tenantctl {

/// What `init` made, and what was there already.
struct InitResult {
  std::vector<std::string> made;
  std::vector<std::string> kept;
};
void write_init(std::ostream& out, Format format, const InitResult& result);

void write_revision_file(std::ostream& out, Format format, const std::string& path, Scope scope);

/// The folder's revisions in order, then its repeatables; with `applied` (of `schema`), which of
/// them a schema has, and what it has recorded of repeatables without a file.
struct HistoryResult {
  const RevisionFolder* folder = nullptr;
  std::string schema;
  const History* applied = nullptr;
};
void write_history(std::ostream& out, Format format, const HistoryResult& result);

/// One revision: what it is, and its SQL.
void write_revision_text(std::ostream& out, Format format, const Revision& revision);

/// Where named schemas stand, read from their version tables.
struct CurrentResult {
  struct Schema {
    std::string schema;
    std::string revision;  ///< title, or `base`
    std::size_t applied = 0;
    std::size_t pending = 0;
    std::size_t repeatables_applied = 0;  ///< recorded, and unchanged or without a file
    std::size_t repeatables_pending = 0;  ///< to be applied, for the first time or again
    std::string digest;
    std::string note;
  };
  std::vector<Schema> schemas;
};
void write_current(std::ostream& out, Format format, const CurrentResult& result);

}  // namespace tenantctl
