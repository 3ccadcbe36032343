#include "catalog/place_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

// $1 schema, $2 version tables.
constexpr std::string_view place_tables =
    "WITH place AS (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = $1), "
    "place_table AS (SELECT c.oid, c.relname, c.relkind, c.relispartition, c.relrowsecurity, "
    "c.relforcerowsecurity FROM pg_catalog.pg_class c JOIN place p ON p.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p') AND c.relname <> ALL ($2::pg_catalog.text[])) ";

/// Reads one schema; the answers find their tables by name.
class ShapeReader {
 public:
  ShapeReader(PlaceShape& shape, const std::vector<std::string>& version_tables)
      : shape_(shape), version_tables_(array_of(version_tables)) {}

  std::vector<pq::Message> questions() {
    std::vector<pq::Message> messages;
    messages.push_back(read_tables());
    messages.push_back(read_columns());
    messages.push_back(read_references());
    messages.push_back(read_sequences());
    messages.push_back(read_triggers());
    messages.push_back(read_objects());
    messages.push_back(read_incoming());
    messages.push_back(read_barriers());
    return messages;
  }

 private:
  pq::Message ask(std::string_view rest, std::function<void(const pq::Row&)> on_row) const {
    return {.sql = fmt::format("{}{}", place_tables, rest),
            .values = {shape_.schema, version_tables_},
            .on_row = std::move(on_row)};
  }

  pq::Message list(std::string_view rest, std::vector<std::string>& into) const {
    return ask(rest, [&into](const pq::Row& row) { into.emplace_back(row.text(0)); });
  }

  std::size_t number_of_table(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::find(shape_.tables, name, &PlaceTable::name) -
                                    shape_.tables.begin());
  }

  pq::Message read_tables() {
    return ask(
        "SELECT t.relname, t.relkind = 'p', t.relrowsecurity AND t.relforcerowsecurity "
        "AND pg_catalog.row_security_active(t.oid) FROM place_table t WHERE NOT t.relispartition "
        "ORDER BY t.relname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) {
          shape_.tables.push_back({.name = std::string(row.text(0)),
                                   .is_partitioned = row.text(1) == "t",
                                   .hides_rows = row.text(2) == "t",
                                   .columns = {}});
        });
  }

  // A type of the schema's own is called the same in another.
  pq::Message read_columns() {
    return ask(
        "SELECT t.relname, a.attname, pg_catalog.replace(pg_catalog.format_type(a.atttypid, "
        "a.atttypmod), pg_catalog.quote_ident($1) || '.', ''), a.attgenerated <> '', "
        "pg_catalog.starts_with(pg_catalog.format_type(a.atttypid, a.atttypmod), "
        "pg_catalog.quote_ident($1) || '.') "
        "FROM place_table t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid "
        "AND a.attnum > 0 AND NOT a.attisdropped WHERE NOT t.relispartition "
        "ORDER BY a.attname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) {
          shape_.tables.at(number_of_table(row.text(0)))
              .columns.push_back({.name = std::string(row.text(1)),
                                  .type = std::string(row.text(2)),
                                  .is_generated = row.text(3) == "t",
                                  .is_own_type = row.text(4) == "t"});
        });
  }

  pq::Message read_references() {
    return ask(
        "SELECT DISTINCT f.relname, r.relname FROM pg_catalog.pg_constraint k "
        "JOIN place_table f ON f.oid = COALESCE(pg_catalog.pg_partition_root(k.conrelid)"
        "::pg_catalog.oid, k.conrelid) "
        "JOIN place_table r ON r.oid = COALESCE(pg_catalog.pg_partition_root(k.confrelid)"
        "::pg_catalog.oid, k.confrelid) WHERE k.contype = 'f'",
        [this](const pq::Row& row) {
          shape_.references.emplace(number_of_table(row.text(0)), number_of_table(row.text(1)));
        });
  }

  pq::Message read_sequences() {
    return list(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN place p ON p.oid = c.relnamespace "
        "WHERE c.relkind = 'S' ORDER BY c.relname COLLATE pg_catalog.\"C\"",
        shape_.sequences);
  }

  pq::Message read_triggers() {
    return ask(
        "SELECT t.relname, g.tgname, g.tgenabled = 'A', (g.tgtype & 4) <> 0 FROM place_table t "
        "JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal "
        "AND g.tgenabled IN ('O', 'A') AND (g.tgtype & 36) <> 0 ORDER BY g.oid",
        [this](const pq::Row& row) {
          shape_.triggers.push_back({.table = std::string(row.text(0)),
                                     .name = std::string(row.text(1)),
                                     .is_always = row.text(2) == "t",
                                     .fires_on_insert = row.text(3) == "t"});
        });
  }

  pq::Message read_objects() {
    return list(
        "SELECT pg_catalog.replace(o.name, pg_catalog.quote_ident($1) || '.', '') FROM ("
        "SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' "
        "WHEN 'S' THEN 'sequence ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || c.relname "
        "FROM pg_catalog.pg_class c JOIN place p ON p.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
        "AND c.relname <> ALL ($2::pg_catalog.text[]) "
        "UNION ALL SELECT 'function ' || f.proname || '(' || "
        "pg_catalog.pg_get_function_identity_arguments(f.oid) || ')' FROM pg_catalog.pg_proc f "
        "JOIN place p ON p.oid = f.pronamespace "
        "UNION ALL SELECT 'type ' || y.typname FROM pg_catalog.pg_type y "
        "JOIN place p ON p.oid = y.typnamespace WHERE y.typtype IN ('e', 'd', 'r') "
        "OR y.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class c "
        "WHERE c.oid = y.typrelid AND c.relkind = 'c') "
        "UNION ALL SELECT 'index ' || x.relname FROM place_table t JOIN pg_catalog.pg_index i "
        "ON i.indrelid = t.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid "
        "UNION ALL SELECT 'constraint ' || k.conname || ' on ' || t.relname FROM place_table t "
        "JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid AND k.contype IN ('c', 'f', 'x') "
        "UNION ALL SELECT 'policy ' || y.polname || ' on ' || t.relname FROM place_table t "
        "JOIN pg_catalog.pg_policy y ON y.polrelid = t.oid "
        "UNION ALL SELECT 'trigger ' || g.tgname || ' on ' || t.relname FROM place_table t "
        "JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal) AS o (name) "
        "ORDER BY 1",
        shape_.objects);
  }

  // Whatever goes when the schema does, and is nobody's to lose.
  pq::Message read_incoming() {
    return list(
        "SELECT DISTINCT 'foreign key ' || k.conname || ' of ' || k.conrelid::"
        "pg_catalog.regclass::pg_catalog.text FROM place_table t "
        "JOIN pg_catalog.pg_constraint k ON k.confrelid = t.oid AND k.contype = 'f' "
        "JOIN pg_catalog.pg_class c ON c.oid = k.conrelid "
        "AND c.relnamespace NOT IN (SELECT p.oid FROM place p) "
        "UNION SELECT DISTINCT 'view ' || v.oid::pg_catalog.regclass::pg_catalog.text "
        "FROM place_table t JOIN pg_catalog.pg_depend d ON d.refobjid = t.oid "
        "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
        "AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
        "JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid "
        "JOIN pg_catalog.pg_class v ON v.oid = w.ev_class "
        "AND v.relnamespace NOT IN (SELECT p.oid FROM place p) "
        "UNION SELECT 'column ' || c.oid::pg_catalog.regclass::pg_catalog.text || '.' || a.attname "
        "FROM place p JOIN pg_catalog.pg_type y ON y.typnamespace = p.oid "
        "JOIN pg_catalog.pg_depend d ON d.refobjid = y.oid "
        "AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass "
        "AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0 "
        "JOIN pg_catalog.pg_class c ON c.oid = d.objid "
        "AND c.relnamespace NOT IN (SELECT p.oid FROM place p) "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid "
        "UNION SELECT 'default of ' || c.oid::pg_catalog.regclass::pg_catalog.text || '.' || "
        "a.attname FROM place p JOIN pg_catalog.pg_class s ON s.relnamespace = p.oid "
        "AND s.relkind = 'S' JOIN pg_catalog.pg_depend d ON d.refobjid = s.oid "
        "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
        "AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass "
        "JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid "
        "JOIN pg_catalog.pg_class c ON c.oid = f.adrelid "
        "AND c.relnamespace NOT IN (SELECT p.oid FROM place p) "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum "
        "ORDER BY 1",
        shape_.incoming);
  }

  // A permissive policy only ever shows more.
  pq::Message read_barriers() {
    return list(
        "SELECT 'policy ' || y.polname || ' on ' || t.relname FROM place_table t "
        "JOIN pg_catalog.pg_policy y ON y.polrelid = t.oid AND NOT y.polpermissive "
        "WHERE t.relrowsecurity AND pg_catalog.row_security_active(t.oid) ORDER BY 1",
        shape_.barriers);
  }

  PlaceShape& shape_;
  std::string version_tables_;
};

std::string named_column(const PlaceTable& table, const PlaceTable::Column& column) {
  return fmt::format("column {}.{} {}", table.name, column.name, column.type);
}

void compare_columns(const PlaceTable& source, const PlaceTable& target,
                     std::vector<std::string>& differences) {
  for (const PlaceTable::Column& column : source.columns) {
    if (std::ranges::count(target.columns, column) == 0) {
      differences.push_back(named_column(source, column) + " is not the same in the target");
    }
  }
  for (const PlaceTable::Column& column : target.columns) {
    if (!source.has_column(column.name)) {
      differences.push_back(named_column(target, column) + " is only in the target");
    }
  }
}

}  // namespace

bool PlaceTable::has_column(const std::string& column) const {
  return std::ranges::count(columns, column, &Column::name) > 0;
}

const PlaceTable* PlaceShape::find(const std::string& table) const {
  const auto at = std::ranges::find(tables, table, &PlaceTable::name);
  return at == tables.end() ? nullptr : &*at;
}

PlaceShape PlaceShape::read(pq::Pipeline& pipeline, const std::string& schema,
                            const std::vector<std::string>& version_tables, pq::Deadline deadline) {
  PlaceShape shape;
  shape.schema = schema;
  ShapeReader reader(shape, version_tables);
  pq::run_transaction(pipeline, reader.questions(), pq::Access::read_only, deadline);
  return shape;
}

std::vector<std::string> shape_differences(const PlaceShape& source, const PlaceShape& target,
                                           bool whole) {
  std::vector<std::string> differences;
  for (const PlaceTable& table : source.tables) {
    if (const PlaceTable* other = target.find(table.name)) {
      compare_columns(table, *other, differences);
    } else {
      differences.push_back(fmt::format("table {} is not in the target", table.name));
    }
  }
  if (!whole) {
    return differences;
  }
  for (const std::string& object : source.objects) {
    const bool is_told = object.starts_with("table ") &&
                         source.find(object.substr(std::string_view("table ").size())) != nullptr;
    if (!is_told && std::ranges::count(target.objects, object) == 0) {
      differences.push_back(object + " is not in the target");
    }
  }
  return differences;
}

}  // namespace tenantctl
