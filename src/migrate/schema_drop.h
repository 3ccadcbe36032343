#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "migrate/version_table.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// Removes one tenant's schema with everything in it, under the schema's lock. In one transaction
/// if the server's lock table has room for all its relations; else relation by relation, with the
/// mark saying `dropping` first, so that a half-dropped schema is known and can be finished by
/// running the same again.
///
/// Throws Error if another session holds the lock or the schema is gone, ServerError,
/// ConnectionLost (then run it again).
class SchemaDrop {
 public:
  SchemaDrop(pq::Pipeline& pipeline, const VersionTable& table, std::string version_table);

  /// Relations that one transaction may lock here: a quarter of the server's lock table, which all
  /// sessions share (a full one refuses even new connections: tried).
  std::size_t capacity(pq::Deadline deadline);
  std::size_t relation_count(pq::Deadline deadline);

  /// What is part of the transaction that removes the schema itself, or of the one that marks it
  /// before it goes in pieces.
  struct Alongside {
    std::vector<pq::Message> begin = {};
    std::vector<pq::Message> before = {};
    std::vector<pq::Message> behind = {};
  };

  /// `most`: relations a transaction may take; capacity() if 0.
  void run(std::size_t most, pq::Deadline deadline) { run(most, deadline, {}); }
  void run(std::size_t most, pq::Deadline deadline, Alongside alongside);

 private:
  void run_locked(std::vector<pq::Message> messages, pq::Deadline deadline);
  std::vector<std::string> some_relations(std::size_t most, pq::Deadline deadline);

  pq::Pipeline& pipeline_;
  const VersionTable& table_;
  std::string version_table_;
};

}  // namespace tenantctl
