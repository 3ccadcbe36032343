#pragma once

#include <string>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// A table of a home of shared rows, as far as it matters whose its rows are. Names are as they
/// are; lists of columns are text to be put into SQL.
struct SharedTable {
  /// A primary key, UNIQUE or unique index that is not led by the tenant column.
  struct Key {
    std::string name;
    std::string columns;
    bool is_primary = false;
    bool is_constraint = false;
  };
  /// A foreign key to a table of the same home that does not take the tenant column along.
  struct Reference {
    std::string name;
    std::string columns;
    std::string target;
    std::string target_columns;
  };

  std::string name;
  bool is_partitioned = false;
  bool is_partition = false;
  bool has_column = false;
  bool is_required = false;  ///< the column is NOT NULL
  bool has_default = false;
  bool is_enabled = false;  ///< ROW LEVEL SECURITY
  bool is_forced = false;
  bool has_policy = false;
  bool has_index = false;  ///< led by the column
  bool is_filled = false;  ///< has rows: read_filled() tells
  std::vector<Key> keys;
  std::vector<Reference> references;
  std::vector<std::string> sequences;  ///< that its columns own

  bool is_protected() const {
    return has_column && is_required && has_default && is_enabled && is_forced && has_policy &&
           has_index;
  }
};

struct SharedView {
  std::string name;
  bool is_materialized = false;
};

/// A home as its catalog shows it, at one moment.
struct SharedHome {
  std::string schema;
  std::string column;               ///< the tenant column's name
  std::vector<SharedTable> tables;  ///< by name; without the version table
  std::vector<SharedView> views;    ///< over them

  const SharedTable* find(const std::string& table) const;

  /// Throws ServerError, ConnectionLost.
  static SharedHome read(pq::Pipeline& pipeline, const std::string& schema,
                         const std::string& column, const std::string& version_table,
                         pq::Deadline deadline);
  /// Finds out which tables have rows that the current role sees. Throws ServerError where it may
  /// not read one.
  void read_filled(pq::Pipeline& pipeline, pq::Deadline deadline);
};

}  // namespace tenantctl
