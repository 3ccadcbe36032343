#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "migrate/history.h"
#include "migrate/mark.h"
#include "migrate/version_table.h"
#include "revision/revision_folder.h"
#include "tenant/fleet.h"

namespace tenantctl {

/// A group: schemas that stand at the same place, so that one plan serves all of them.
struct Standing {
  enum class State {
    marked,    ///< the mark tells
    unmarked,  ///< a version table without a readable mark: its rows tell
    lying,     ///< the mark says `claimed`, the rows something else; only a deep reading
               ///< finds it, unless it claims the other scope
    bare,      ///< a schema without version table
    foreign,   ///< somebody else's hand in the version table
    missing,   ///< named by the tenants query, not there
    dropping,  ///< half-dropped by `tenant drop`
    broken,  ///< rows that do not add up, or a version table of another shape: `problem` says what
    unavailable  ///< its database cannot be reached: `problem` says why
  };
  State state = State::marked;
  Mark mark;
  Mark claimed;
  History history;
  std::string problem;
  std::vector<std::uint32_t> members;  ///< indexes into Fleet::schemas
};

/// Groups that were read in several databases, made one wherever the same plan serves them.
class StandingGroups {
 public:
  /// With `run_ids`, only where also the same rows are these runs'; see read_run_standings().
  explicit StandingGroups(std::set<std::string> run_ids) : run_ids_(std::move(run_ids)) {}

  void add(Standing group);
  std::vector<Standing> take() { return std::move(groups_); }

 private:
  std::set<std::string> run_ids_;
  std::map<std::string, std::size_t> indexes_;
  std::vector<Standing> groups_;
};

/// Sorts the selected schemas into groups. Marks whose digest is a prefix of the folder need no
/// table; of each other digest one table is read, and the tables without a mark, in bounded
/// batches. Throws ServerError, ConnectionLost.
std::vector<Standing> read_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                     const std::vector<std::uint32_t>& selected,
                                     const RevisionFolder& folder, const TableOptions& options,
                                     pq::Deadline deadline);

/// What marks cannot tell: which of a schema's rows these runs wrote.
struct RunQuery {
  std::set<std::string> run_ids;
  Scope scope = Scope::tenant;
  pq::Deadline deadline;
};

/// The same from every selected schema's own rows, in bounded batches. Schemas share a group only
/// if the same rows of them are the same run's. Throws ServerError, ConnectionLost.
std::vector<Standing> read_run_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                         const std::vector<std::uint32_t>& selected,
                                         const RunQuery& query, const TableOptions& options);

/// How a deep reading is done: `patience` is for each batch, because the whole takes as long as the
/// fleet is big.
struct DeepQuery {
  Scope scope = Scope::tenant;
  std::chrono::milliseconds patience{120'000};
};

/// The same, trusting no mark: every selected version table is read, in bounded batches. A schema
/// that is migrated meanwhile does not lie, and one that was dropped meanwhile is left out. Throws
/// ServerError, ConnectionLost.
std::vector<Standing> read_deep_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                          const std::vector<std::uint32_t>& selected,
                                          const DeepQuery& query, const TableOptions& options);

/// One schema's rows, read now. Throws ServerError.
History read_history(pq::Pipeline& pipeline, const VersionTable& table, pq::Deadline deadline);

}  // namespace tenantctl
