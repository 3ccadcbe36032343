#pragma once

#include <string>

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

 private:
  SchemaName schema_;
  std::string name_;
};

}  // namespace tenantctl
