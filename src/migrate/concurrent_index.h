#pragma once

#include <string>
#include <vector>

#include "pq/message.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// An index that is built or dropped CONCURRENTLY, in many transactions of the server's own: a
/// failure or crash in between leaves it invalid, and only the catalog tells. All SQL about it.
class ConcurrentIndex {
 public:
  ConcurrentIndex(SchemaName schema, std::string name);

  enum class State {
    absent,
    valid,
    invalid,   ///< left behind half-built or half-dropped
    building,  ///< invalid because somebody builds it at this moment
    other      ///< a relation of that name that is no plain index: not ours to judge
  };

  /// Where the index stands; the answer arrives in `state`, which must live until then.
  pq::Message inspect(State& state) const;
  pq::Message drop() const;

  /// Names of the invalid indexes that an interrupted REINDEX CONCURRENTLY left in the schema
  /// beside those that it worked on: NAME_ccnew, NAME_ccold, with a number behind if that was
  /// taken. They arrive in `names`, which must live until then. A build that somebody runs at this
  /// moment is left out.
  static pq::Message leftovers(const SchemaName& schema, std::vector<std::string>& names);

 private:
  SchemaName schema_;
  std::string name_;
};

}  // namespace tenantctl
