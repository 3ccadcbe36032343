#include "catalog/tenant_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "pq/copy_rows.h"

namespace tenantctl {
namespace {

constexpr std::string_view unique_violation = "23505";
constexpr std::string_view exclusion_violation = "23P01";
constexpr std::string_view reference_violation = "23503";
constexpr std::string_view lacks_privilege = "42501";

std::string qualified(const std::string& schema, const std::string& name) {
  return quote_identifier(schema) + "." + quote_identifier(name);
}

// A table's own rows; those of a partitioned one are its partitions'.
std::string from_text(const std::string& schema, const PlaceTable& table) {
  return (table.is_partitioned ? "" : "ONLY ") + qualified(schema, table.name) + " t";
}

std::string columns_text(const PlaceTable& table, std::string_view prefix, bool with_generated) {
  std::string text;
  for (const PlaceTable::Column& column : table.columns) {
    if (with_generated || !column.is_generated) {
      text += (text.empty() ? "" : ", ") + std::string(prefix) + quote_identifier(column.name);
    }
  }
  return text;
}

std::string filter_text(const CopyPlace& place, const CopiedTenant& tenant,
                        const PlaceTable& table) {
  if (!place.is_home || tenant.is_common(table.name)) {
    return "";
  }
  return fmt::format(" WHERE t.{} OPERATOR(pg_catalog.=) {}", quote_identifier(tenant.column),
                     quote_literal(tenant.id));
}

void run_one(pq::OpenTransaction& transaction, std::string sql) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::move(sql)});
  transaction.run(std::move(messages));
}

TableSum read_sum(const CopyPlace& place, const CopiedTenant& tenant, const PlaceTable& table) {
  TableSum sum{.table = table.name, .hash = {}};
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum("
                          "pg_catalog.hashtextextended((ROW({}))::pg_catalog.text, 0)"
                          "::pg_catalog.numeric), 0) FROM {}{}",
                          columns_text(table, "t.", true), from_text(place.shape.schema, table),
                          filter_text(place, tenant, table)),
       .on_row = [&sum](const pq::Row& row) {
         sum.rows = number_of<std::uint64_t>(row.text(0));
         sum.hash = row.text(1);
       }});
  place.transaction.run(std::move(messages));
  return sum;
}

// Its owner is the only one whom that binds or frees, and this transaction the only one that knows.
void change_force(const CopyPlace& place, std::string_view how) {
  if (place.is_home) {
    return;
  }
  std::vector<pq::Message> messages;
  for (const PlaceTable& table : place.shape.tables) {
    if (table.hides_rows) {
      messages.push_back({.sql = fmt::format("ALTER TABLE {} {} ROW LEVEL SECURITY",
                                             qualified(place.shape.schema, table.name), how)});
    }
  }
  if (!messages.empty()) {
    place.transaction.run(std::move(messages));
  }
}

void lock_tables(const CopyPlace& place) {
  if (place.is_home) {
    return;
  }
  std::vector<pq::Message> messages;
  for (const PlaceTable& table : place.shape.tables) {
    messages.push_back({.sql = fmt::format("LOCK TABLE {} IN SHARE MODE",
                                           qualified(place.shape.schema, table.name))});
  }
  if (!messages.empty()) {
    place.transaction.run(std::move(messages));
  }
}

void set_path(const CopyPlace& place, const std::string& path_behind) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.set_config('search_path', $1, true)",
                      .values = {quote_identifier(place.shape.schema) + path_behind}});
  place.transaction.run(std::move(messages));
}

std::string told_difference(const TableSum& source, const TableSum& target) {
  if (source.rows != target.rows) {
    return fmt::format("table {} has {} in the source and {} in the target",
                       escaped_name(source.table), counted(source.rows, "row"), target.rows);
  }
  return fmt::format("table {} has {} in both places, but not the same", escaped_name(source.table),
                     counted(source.rows, "row"));
}

}  // namespace

bool CopiedTenant::is_common(const std::string& table) const {
  return std::ranges::count(common, table) > 0;
}

void fix_settings(pq::OpenTransaction& transaction, const std::string& tenant_id) {
  std::string sql = "SELECT pg_catalog.set_config('tenantctl.tenant_id', $1, true)";
  for (const auto& [name, value] :
       {std::pair{"extra_float_digits", "3"}, std::pair{"DateStyle", "ISO, MDY"},
        std::pair{"IntervalStyle", "postgres"}, std::pair{"TimeZone", "UTC"},
        std::pair{"bytea_output", "hex"}, std::pair{"xmlbinary", "base64"},
        std::pair{"lc_monetary", "C"}, std::pair{"client_encoding", "UTF8"}}) {
    sql += fmt::format(", pg_catalog.set_config('{}', '{}', true)", name, value);
  }
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::move(sql), .values = {tenant_id}});
  transaction.run(std::move(messages));
}

std::vector<TableSum> read_sums(const CopyPlace& place, const CopiedTenant& tenant) {
  lock_tables(place);
  change_force(place, "NO FORCE");
  std::vector<TableSum> sums;
  for (const PlaceTable& table : place.shape.tables) {
    if (!place.is_home || !tenant.is_common(table.name)) {
      sums.push_back(read_sum(place, tenant, table));
    }
  }
  change_force(place, "FORCE");
  return sums;
}

TenantCopy::TenantCopy(CopyPlace source, CopyPlace target, CopiedTenant tenant,
                       std::chrono::milliseconds patience)
    : source_(source), target_(target), tenant_(std::move(tenant)), patience_(patience) {}

// What all have in common stays as the home has it.
bool TenantCopy::is_copied(const PlaceTable& table) const {
  return !target_.is_home || !tenant_.is_common(table.name);
}

std::string TenantCopy::rows_of(const PlaceTable& table) const {
  std::string columns;
  for (const PlaceTable::Column& column : table.columns) {
    if (column.is_generated) {
      continue;
    }
    columns += (columns.empty() ? "t." : ", t.") + quote_identifier(column.name);
    // The same name, another type; between databases only text travels.
    if (column.is_own_type && is_one_database()) {
      columns += fmt::format("::pg_catalog.text::{}.{}", quote_identifier(target_.shape.schema),
                             column.type);
    }
  }
  return fmt::format("SELECT {} FROM {}{}", columns, from_text(source_.shape.schema, table),
                     filter_text(source_, tenant_, table));
}

std::string TenantCopy::insert(const PlaceTable& table, const std::string& source) const {
  return fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}",
                     qualified(target_.shape.schema, table.name), columns_text(table, "", false),
                     source);
}

// In a home whose rows the others are says the tenant column; here nobody else should be.
void TenantCopy::refuse_strangers() {
  if (source_.is_home) {
    return;
  }
  for (const PlaceTable& table : source_.shape.tables) {
    if (!table.has_column(tenant_.column)) {
      continue;
    }
    std::uint64_t strange = 0;
    const std::string column = quote_identifier(tenant_.column);
    std::vector<pq::Message> messages;
    messages.push_back(
        {.sql = fmt::format("SELECT pg_catalog.count(*) FROM {} WHERE t.{} IS NULL OR NOT (t.{} "
                            "OPERATOR(pg_catalog.=) {})",
                            from_text(source_.shape.schema, table), column, column,
                            quote_literal(tenant_.id)),
         .on_row = [&strange](const pq::Row& row) {
           strange = number_of<std::uint64_t>(row.text(0));
         }});
    source_.transaction.run(std::move(messages));
    if (strange > 0) {
      throw Error(fmt::format("{} of table {} not the tenant's: {} says so",
                              counted(strange, "row is", "rows are"), escaped_name(table.name),
                              escaped_name(tenant_.column)),
                  "Give them the tenant's id, or take them away.");
    }
  }
}

void TenantCopy::empty_target() {
  change_force(target_, "NO FORCE");
  std::vector<pq::Message> messages;
  for (const PlaceTrigger& trigger : target_.shape.triggers) {
    messages.push_back({.sql = fmt::format("ALTER TABLE {} DISABLE TRIGGER {}",
                                           qualified(target_.shape.schema, trigger.table),
                                           quote_identifier(trigger.name))});
  }
  std::string tables;
  for (const PlaceTable& table : target_.shape.tables) {
    tables += (tables.empty() ? "" : ", ") + qualified(target_.shape.schema, table.name);
  }
  if (!tables.empty()) {
    messages.push_back({.sql = "TRUNCATE TABLE " + tables});
    target_.transaction.run(std::move(messages));
  }
}

void TenantCopy::stream(const PlaceTable& table) {
  pq::copy_rows(
      {.pipeline = source_.transaction.pipeline(),
       .sql = fmt::format("COPY ({}) TO STDOUT", rows_of(table))},
      {.pipeline = target_.transaction.pipeline(),
       .sql = fmt::format("COPY {} ({}) FROM STDIN", qualified(target_.shape.schema, table.name),
                          columns_text(table, "", false))},
      patience_);
}

// COPY FROM does not go into a table with row security, nor into several at once.
void TenantCopy::stage(const PlaceTable& table, const std::string& name) {
  run_one(target_.transaction,
          fmt::format("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0", name,
                      columns_text(table, "t.", false), from_text(target_.shape.schema, table)));
  pq::copy_rows({.pipeline = source_.transaction.pipeline(),
                 .sql = fmt::format("COPY ({}) TO STDOUT", rows_of(table))},
                {.pipeline = target_.transaction.pipeline(),
                 .sql = fmt::format("COPY pg_temp.{} FROM STDIN", name)},
                patience_);
}

// A table that nothing can be written into has rows all the same: as many, each by its defaults.
void TenantCopy::copy_blank(const PlaceTable& table) {
  std::string rows = "0";
  std::vector<pq::Message> messages;
  messages.push_back({.sql = fmt::format("SELECT pg_catalog.count(*) FROM {}{}",
                                         from_text(source_.shape.schema, table),
                                         filter_text(source_, tenant_, table)),
                      .on_row = [&rows](const pq::Row& row) { rows = row.text(0); }});
  source_.transaction.run(std::move(messages));
  run_one(
      target_.transaction,
      fmt::format("INSERT INTO {} SELECT FROM pg_catalog.generate_series(1, {}::pg_catalog.int8)",
                  qualified(target_.shape.schema, table.name), rows));
}

void TenantCopy::copy_step(const std::vector<std::size_t>& step) {
  std::vector<std::size_t> tables = step;
  tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
  std::erase_if(tables, [this](std::size_t i) { return !is_copied(source_.shape.tables[i]); });
  for (const std::size_t i : tables) {
    if (columns_text(source_.shape.tables[i], "", false).empty()) {
      copy_blank(source_.shape.tables[i]);
    }
  }
  std::erase_if(tables, [this](std::size_t i) {
    return columns_text(source_.shape.tables[i], "", false).empty();
  });
  if (tables.size() == 1 && !is_one_database() && !target_.is_home) {
    stream(source_.shape.tables[tables.front()]);
    return;
  }
  std::string inserts;
  std::string last;
  for (const std::size_t i : tables) {
    const PlaceTable& table = source_.shape.tables[i];
    std::string rows = rows_of(table);
    if (!is_one_database()) {
      const std::string name = fmt::format("tenantctl_stage_{}", i);
      stage(table, name);
      rows = fmt::format("SELECT {} FROM pg_temp.{} t", columns_text(table, "t.", false), name);
    }
    if (!last.empty()) {
      inserts += fmt::format("{}i{} AS ({})", inserts.empty() ? "WITH " : ", ", i, last);
    }
    last = insert(table, rows);
  }
  if (!last.empty()) {
    run_one(target_.transaction, inserts + (inserts.empty() ? "" : " ") + last);
  }
}

void TenantCopy::compare_common() {
  if (!target_.is_home) {
    return;
  }
  for (const PlaceTable& table : source_.shape.tables) {
    if (is_copied(table)) {
      continue;
    }
    const TableSum here = read_sum(source_, tenant_, table);
    const TableSum there = read_sum(target_, tenant_, table);
    if (here != there) {
      throw Error(told_difference(here, there) + ", and --common says it is the same for all",
                  "Make it the same in both places first.");
    }
  }
}

std::vector<TableSum> TenantCopy::compare() {
  std::vector<TableSum> sums;
  for (const PlaceTable& table : source_.shape.tables) {
    if (!is_copied(table)) {
      continue;
    }
    const TableSum here = read_sum(source_, tenant_, table);
    const TableSum there = read_sum(target_, tenant_, table);
    if (here != there) {
      throw Error("the copy is not like the source: " + told_difference(here, there),
                  "Somebody may write past the gate, or something changes rows as they are "
                  "inserted. The tenant stays where it was.");
    }
    sums.push_back(here);
  }
  return sums;
}

// ALTER keeps others' nextval() out until the end of this transaction: none of their numbers is
// given twice.
void TenantCopy::set_sequence(const std::string& name) {
  std::string value;
  bool is_called = false;
  std::vector<pq::Message> question;
  question.push_back({.sql = fmt::format("SELECT s.last_value, s.is_called FROM {} s",
                                         qualified(source_.shape.schema, name)),
                      .on_row = [&](const pq::Row& row) {
                        value = row.text(0);
                        is_called = row.text(1) == "t";
                      }});
  source_.transaction.run(std::move(question));
  const std::string target = qualified(target_.shape.schema, name);
  const std::string set = fmt::format("pg_catalog.setval({}::pg_catalog.regclass, {}, {})",
                                      quote_literal(target), value, is_called);
  if (!target_.is_home) {
    run_one(target_.transaction, "SELECT " + set);
    return;
  }
  std::string increment;
  std::vector<pq::Message> lag;
  lag.push_back(
      {.sql = fmt::format("SELECT q.seqincrement FROM pg_catalog.pg_sequence q, {0} s "
                          "WHERE q.seqrelid OPERATOR(pg_catalog.=) {1}::pg_catalog.regclass AND "
                          "CASE WHEN q.seqincrement OPERATOR(pg_catalog.>) 0 THEN s.last_value "
                          "OPERATOR(pg_catalog.<) {2} ELSE s.last_value OPERATOR(pg_catalog.>) {2} "
                          "END",
                          target, quote_literal(target), value),
       .on_row = [&increment](const pq::Row& row) { increment = row.text(0); }});
  target_.transaction.run(std::move(lag));
  if (increment.empty()) {
    return;
  }
  run_one(target_.transaction, fmt::format("ALTER SEQUENCE {} INCREMENT BY {}", target, increment));
  run_one(target_.transaction,
          fmt::format("SELECT {} FROM {} s WHERE s.last_value OPERATOR(pg_catalog.{}) {}", set,
                      target, increment.starts_with('-') ? ">" : "<", value));
}

// Deferred keys speak up now; a table with events pending could not be altered.
void TenantCopy::finish() {
  run_one(target_.transaction, "SET CONSTRAINTS ALL IMMEDIATE");
  std::vector<pq::Message> messages;
  if (!target_.is_home) {
    for (const PlaceTrigger& trigger : target_.shape.triggers) {
      messages.push_back(
          {.sql = fmt::format("ALTER TABLE {} ENABLE {}TRIGGER {}",
                              qualified(target_.shape.schema, trigger.table),
                              trigger.is_always ? "ALWAYS " : "", quote_identifier(trigger.name))});
    }
  }
  if (!messages.empty()) {
    target_.transaction.run(std::move(messages));
  }
  change_force(target_, "FORCE");
  change_force(source_, "FORCE");
}

void TenantCopy::explain_refusal(const pq::ServerError& error) const {
  const pq::ServerFields& fields = error.fields();
  if (target_.is_home && (error.is(unique_violation) || error.is(exclusion_violation))) {
    throw Error(fmt::format("a key is taken: {} of table {}: {}", escaped_name(fields.constraint),
                            escaped_name(fields.table), told(fields.detail)),
                "Keys of shared tables that tenants choose, or count by themselves, begin with the "
                "tenant column or are uuids: rows protect says which do not.");
  }
  if (error.is(reference_violation)) {
    throw Error(
        fmt::format("a row refers to one that is not in the target: {} of table {}: {}",
                    escaped_name(fields.constraint), escaped_name(fields.table),
                    told(fields.detail)),
        "What tenants refer to in the shared schema must be in the target's database, too.");
  }
  if (error.is(lacks_privilege)) {
    throw Error(fmt::format("the target does not take the rows: {}", told(fields.message)),
                "Migrate as a role with BYPASSRLS, or let a policy admit what the gate's tenant "
                "may write.");
  }
  throw error;
}

std::vector<TableSum> TenantCopy::run() {
  try {
    fix_settings(source_.transaction, tenant_.id);
    fix_settings(target_.transaction, tenant_.id);
    lock_tables(source_);
    change_force(source_, "NO FORCE");
    refuse_strangers();
    if (!target_.is_home) {
      empty_target();
    }
    set_path(source_, tenant_.path_behind);
    set_path(target_, tenant_.path_behind);
    compare_common();
    auto steps = erasing_order(source_.shape.tables.size(), source_.shape.references);
    std::ranges::reverse(steps);
    for (const std::vector<std::size_t>& step : steps) {
      copy_step(step);
    }
    std::vector<TableSum> sums = compare();
    for (const std::string& name : source_.shape.sequences) {
      if (std::ranges::count(target_.shape.sequences, name) > 0) {
        set_sequence(name);
      }
    }
    finish();
    for (const CopyPlace& place : {source_, target_}) {
      run_one(place.transaction,
              "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)");
    }
    return sums;
  } catch (const pq::ServerError& error) {
    explain_refusal(error);
  }
}

}  // namespace tenantctl
