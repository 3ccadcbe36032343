#pragma once

#include <string>
#include <vector>

#include "catalog/reference_order.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// A table that holds a tenant's rows, as far as it matters for copying them. Partitions are not
/// told: their parent has their rows.
struct PlaceTable {
  struct Column {
    std::string name;
    std::string type;
    bool is_generated = false;  ///< the server computes it
    bool is_own_type = false;   ///< of the schema itself: another has one of the same name
    bool operator==(const Column&) const = default;
  };

  std::string name;
  bool is_partitioned = false;
  bool hides_rows = false;      ///< row security binds the current role, its owner
  std::vector<Column> columns;  ///< by name

  bool has_column(const std::string& column) const;
};

/// A trigger that would fire for copied rows.
struct PlaceTrigger {
  std::string table;
  std::string name;
  bool is_always = false;
  bool fires_on_insert = false;  ///< else only on TRUNCATE
};

/// What is in a schema that a tenant lives in, at one moment: its own or a home of shared rows.
struct PlaceShape {
  std::string schema;
  std::vector<PlaceTable> tables;  ///< by name, without the version table
  References references;           ///< foreign keys among `tables`
  std::vector<std::string> sequences;
  std::vector<PlaceTrigger> triggers;
  std::vector<std::string> objects;   ///< everything with a name, as a person would say it
  std::vector<std::string> incoming;  ///< what stands elsewhere and needs what is here
  std::vector<std::string> barriers;  ///< policies that can hide rows from their tenant

  const PlaceTable* find(const std::string& table) const;

  /// Throws ServerError, ConnectionLost.
  static PlaceShape read(pq::Pipeline& pipeline, const std::string& schema,
                         const std::vector<std::string>& version_tables, pq::Deadline deadline);
};

/// Why rows of `source` cannot be put into `target`, a line each: tables and columns that are not
/// the same. With `whole`, everything else of the source must be in the target too.
std::vector<std::string> shape_differences(const PlaceShape& source, const PlaceShape& target,
                                           bool whole);

}  // namespace tenantctl
