#include "catalog/shared_home.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "pq/transaction.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

// $1 home, $2 tenant column, $3 tables of ours. A partition is a table of its own where somebody
// can reach it past its parent.
constexpr std::string_view home_tables =
    "WITH shared_table AS (SELECT c.oid, c.relname, c.relkind, c.relispartition, c.relrowsecurity, "
    "c.relforcerowsecurity, a.attnum, a.attnotnull, a.atthasdef FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 "
    "AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> ALL ($3::pg_catalog.text[]) "
    "AND (NOT c.relispartition OR c.relacl IS NOT NULL)) ";

SharedTable table_of(const pq::Row& row) {
  SharedTable table;
  table.name = row.text(0);
  table.is_partitioned = row.text(1) == "p";
  table.is_partition = row.text(2) == "t";
  table.has_column = row.text(3) == "t";
  table.is_required = row.text(4) == "t";
  table.has_default = row.text(5) == "t";
  table.is_enabled = row.text(6) == "t";
  table.is_forced = row.text(7) == "t";
  table.has_policy = row.text(8) == "t";
  table.has_index = row.text(9) == "t";
  return table;
}

/// Reads one home; the answers find their tables by name.
class HomeReader {
 public:
  HomeReader(SharedHome& home, std::string version_table)
      : home_(home), version_table_(std::move(version_table)) {}

  std::vector<pq::Message> questions() {
    std::vector<pq::Message> messages;
    messages.push_back(read_tables());
    messages.push_back(read_keys());
    messages.push_back(read_references());
    messages.push_back(read_sequences());
    messages.push_back(read_views());
    return messages;
  }

 private:
  pq::Message ask(std::string_view rest, std::function<void(const pq::Row&)> on_row) const {
    return {.sql = fmt::format("{}{}", home_tables, rest),
            .values = {home_.schema, home_.column, own_tables(version_table_)},
            .on_row = std::move(on_row)};
  }

  SharedTable* table(const pq::Row& row) {
    const auto at = std::ranges::find(home_.tables, row.text(0), &SharedTable::name);
    return at == home_.tables.end() ? nullptr : &*at;
  }

  pq::Message read_tables() {
    return ask(
        "SELECT t.relname, t.relkind, t.relispartition, t.attnum IS NOT NULL, t.attnotnull, "
        "t.atthasdef, t.relrowsecurity, t.relforcerowsecurity, EXISTS (SELECT FROM "
        "pg_catalog.pg_policy p WHERE p.polrelid = t.oid AND p.polpermissive), EXISTS (SELECT FROM "
        "pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indkey[0] = t.attnum "
        "AND i.indisvalid AND i.indpred IS NULL) FROM shared_table t "
        "ORDER BY t.relname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) { home_.tables.push_back(table_of(row)); });
  }

  // Column by column as the server writes them: expressions too.
  pq::Message read_keys() {
    return ask(
        "SELECT t.relname, x.relname, i.indisprimary, EXISTS (SELECT FROM pg_catalog.pg_constraint "
        "k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')), (SELECT "
        "pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, s.n, true), ', ' "
        "ORDER BY s.n) FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) AS s (n))"
        " FROM shared_table t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND i.indisunique "
        "JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE NOT t.relispartition "
        "AND (t.attnum IS NULL OR t.attnum <> ALL (i.indkey::pg_catalog.int2[])) "
        "ORDER BY i.indisprimary DESC, x.relname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) {
          if (SharedTable* found = table(row)) {
            found->keys.push_back({.name = std::string(row.text(1)),
                                   .columns = std::string(row.text(4)),
                                   .is_primary = row.text(2) == "t",
                                   .is_constraint = row.text(3) == "t"});
          }
        });
  }

  pq::Message read_references() {
    return ask(
        "SELECT t.relname, k.conname, f.relname, (SELECT pg_catalog.string_agg("
        "pg_catalog.quote_ident(a.attname), ', ' ORDER BY u.n) FROM pg_catalog.unnest(k.conkey) "
        "WITH ORDINALITY AS u (number, n) JOIN pg_catalog.pg_attribute a "
        "ON a.attrelid = k.conrelid AND a.attnum = u.number), (SELECT pg_catalog.string_agg("
        "pg_catalog.quote_ident(a.attname), ', ' ORDER BY u.n) FROM pg_catalog.unnest(k.confkey) "
        "WITH ORDINALITY AS u (number, n) JOIN pg_catalog.pg_attribute a "
        "ON a.attrelid = k.confrelid AND a.attnum = u.number) "
        "FROM shared_table t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid "
        "AND k.contype = 'f' AND k.conparentid = 0 JOIN shared_table f ON f.oid = k.confrelid "
        "WHERE t.attnum IS NULL OR t.attnum <> ALL (k.conkey) "
        "ORDER BY k.conname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) {
          if (SharedTable* found = table(row)) {
            found->references.push_back({.name = std::string(row.text(1)),
                                         .columns = std::string(row.text(3)),
                                         .target = std::string(row.text(2)),
                                         .target_columns = std::string(row.text(4))});
          }
        });
  }

  pq::Message read_sequences() {
    return ask(
        "SELECT t.relname, s.relname FROM shared_table t JOIN pg_catalog.pg_depend d "
        "ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = t.oid "
        "AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') "
        "JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' "
        "ORDER BY s.relname COLLATE pg_catalog.\"C\"",
        [this](const pq::Row& row) {
          if (SharedTable* found = table(row)) {
            found->sequences.emplace_back(row.text(1));
          }
        });
  }

  pq::Message read_views() {
    return ask(
        "SELECT DISTINCT v.relname, v.relkind FROM shared_table t JOIN pg_catalog.pg_depend d "
        "ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = t.oid "
        "AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
        "JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid JOIN pg_catalog.pg_class v "
        "ON v.oid = w.ev_class AND v.relkind IN ('v', 'm') JOIN pg_catalog.pg_namespace n "
        "ON n.oid = v.relnamespace AND n.nspname = $1 ORDER BY v.relname",
        [this](const pq::Row& row) {
          home_.views.push_back(
              {.name = std::string(row.text(0)), .is_materialized = row.text(1) == "m"});
        });
  }

  SharedHome& home_;
  std::string version_table_;
};

}  // namespace

const SharedTable* SharedHome::find(const std::string& table) const {
  const auto at = std::ranges::find(tables, table, &SharedTable::name);
  return at == tables.end() ? nullptr : &*at;
}

SharedHome SharedHome::read(pq::Pipeline& pipeline, const std::string& schema,
                            const std::string& column, const std::string& version_table,
                            pq::Deadline deadline) {
  SharedHome home;
  home.schema = schema;
  home.column = column;
  HomeReader reader(home, version_table);
  pq::run_transaction(pipeline, reader.questions(), pq::Access::read_only, deadline);
  return home;
}

void SharedHome::read_filled(pq::Pipeline& pipeline, pq::Deadline deadline) {
  std::vector<pq::Message> questions;
  for (SharedTable& table : tables) {
    questions.push_back(
        {.sql = fmt::format("SELECT EXISTS (SELECT FROM {}.{})", quote_identifier(schema),
                            quote_identifier(table.name)),
         .on_row = [&table](const pq::Row& row) { table.is_filled = row.text(0) == "t"; }});
  }
  if (!questions.empty()) {
    pq::run_transaction(pipeline, std::move(questions), pq::Access::read_only, deadline);
  }
}

}  // namespace tenantctl
