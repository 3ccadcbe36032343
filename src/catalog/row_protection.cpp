#include "catalog/row_protection.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {
namespace {

// `name` cut so that the suffix fits into an identifier's 63 bytes, never inside a character.
std::string named(std::string_view name, std::string_view suffix) {
  constexpr std::size_t most = 63;
  std::size_t end = std::min(name.size(), most - suffix.size());
  while (end > 0 && end < name.size() && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return quote_identifier(std::string(name.substr(0, end)) + std::string(suffix));
}

/// Up and down sections of one file, statement by statement; down is written backwards.
class Sections {
 public:
  void up(std::string statement) { up_.push_back(std::move(statement)); }
  void down(std::string statement) { down_.push_back(std::move(statement)); }
  bool empty() const { return up_.empty(); }

  std::string text(const std::string& head, bool transaction) const {
    const std::string_view options = transaction ? "" : " transaction:false";
    std::string text = head + fmt::format("\n-- migrate:up{}\n\n", options);
    for (const std::string& statement : up_) {
      text += statement + "\n";
    }
    text += fmt::format("\n-- migrate:down{}\n\n", options);
    for (auto at = down_.rbegin(); at != down_.rend(); ++at) {
      text += *at + "\n";
    }
    return text;
  }

 private:
  std::vector<std::string> up_;
  std::vector<std::string> down_;
};

/// Writes the statements of one table.
class TableText {
 public:
  TableText(const SharedTable& table, const SharedHome& home, const std::string& backfill)
      : table_(table),
        name_(quote_identifier(table.name)),
        column_(quote_identifier(home.column)),
        check_(named(table.name, "_tenant_check")),
        index_(named(table.name, "_tenant_key")),
        backfill_(backfill) {}

  // A partition has its parent's columns and indexes; what it lacks are policies of its own.
  bool needs_column() const { return !table_.is_partition && !table_.has_column; }
  bool needs_required() const { return !table_.is_partition && !table_.is_required; }
  bool is_filled() const { return table_.is_filled && needs_required(); }

  void add_column(Sections& to) const {
    if (needs_column()) {
      to.up(fmt::format("ALTER TABLE {} ADD COLUMN {} uuid;", name_, column_));
      to.down(fmt::format("ALTER TABLE {} DROP COLUMN {};", name_, column_));
    }
    if (!table_.is_partition && !table_.has_default) {
      to.up(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT tenantctl.require_tenant();",
                        name_, column_));
      if (!needs_column()) {
        to.down(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT;", name_, column_));
      }
    }
  }

  // Ten thousand rows a transaction. A row that moved meanwhile is met in the next pass; rows that
  // nobody's expression knows end it.
  void fill(Sections& to) const {
    to.up(fmt::format(
        R"(DO $backfill$
DECLARE
  own uuid := (SELECT t.id FROM tenantctl.tenant t WHERE t.isolation = 'schema'
               AND t.schema_name = current_schema() AND t.database_name IS NULL
               AND t.cluster IS NULL);
  place record;
  places tid[] := '{{}}';
  touched bigint;
  written bigint;
BEGIN
  LOOP
    touched := 0;
    FOR place IN SELECT n.ctid AS at FROM {0} n WHERE n.{1} IS NULL LOOP
      places := places || place.at;
      IF cardinality(places) >= 10000 THEN
        UPDATE {0} SET {1} = coalesce(own, {2})
          WHERE {0}.ctid = ANY (places) AND {0}.{1} IS NULL AND coalesce(own, {2}) IS NOT NULL;
        GET DIAGNOSTICS written = ROW_COUNT;
        touched := touched + written;
        places := '{{}}';
        COMMIT;
      END IF;
    END LOOP;
    UPDATE {0} SET {1} = coalesce(own, {2})
      WHERE {0}.ctid = ANY (places) AND {0}.{1} IS NULL AND coalesce(own, {2}) IS NOT NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    touched := touched + written;
    places := '{{}}';
    COMMIT;
    EXIT WHEN touched = 0;
  END LOOP;
  IF EXISTS (SELECT FROM {0} n WHERE n.{1} IS NULL) THEN
    RAISE EXCEPTION USING MESSAGE = format('whose rows %I.%I holds is not known', current_schema(), {3}),
      HINT = 'Register the tenant whose schema this is, or the one that the backfill names.';
  END IF;
END
$backfill$;)",
        name_, column_, backfill_.empty() ? "NULL::uuid" : "(" + backfill_ + ")",
        quote_literal(table_.name)));
  }

  void add_check(Sections& to) const {
    to.up(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID;", name_,
                      check_, column_));
    to.down(fmt::format("ALTER TABLE {} DROP CONSTRAINT {};", name_, check_));
  }

  void validate(Sections& to) const {
    to.up(fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {};", name_, check_));
  }

  bool needs_index() const { return !table_.is_partition && !table_.has_index; }
  // An index on a partitioned table cannot be built CONCURRENTLY.
  bool builds_concurrently() const { return is_filled() && !table_.is_partitioned; }

  void add_index(Sections& to) const {
    const std::string_view how = builds_concurrently() ? " CONCURRENTLY" : "";
    const auto primary = std::ranges::find_if(table_.keys, &SharedTable::Key::is_primary);
    const bool has_primary = primary != table_.keys.end();
    to.up(fmt::format("CREATE {}INDEX{} {} ON {} ({}{});", has_primary ? "UNIQUE " : "", how,
                      index_, name_, column_, has_primary ? ", " + primary->columns : ""));
    to.down(fmt::format("DROP INDEX{} {};", how, index_));
  }

  void require(Sections& to) const {
    if (needs_required()) {
      to.up(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL;", name_, column_));
      to.down(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", name_, column_));
    }
    if (is_filled()) {
      to.up(fmt::format("ALTER TABLE {} DROP CONSTRAINT {};", name_, check_));
      to.down(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL);", name_, check_,
                          column_));
    }
  }

  void add_policies(Sections& to) const {
    if (!table_.is_enabled) {
      to.up(fmt::format("ALTER TABLE {} ENABLE ROW LEVEL SECURITY;", name_));
      to.down(fmt::format("ALTER TABLE {} DISABLE ROW LEVEL SECURITY;", name_));
    }
    if (!table_.is_forced) {
      to.up(fmt::format("ALTER TABLE {} FORCE ROW LEVEL SECURITY;", name_));
      to.down(fmt::format("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY;", name_));
    }
    if (!table_.has_policy) {
      to.up(
          fmt::format("CREATE POLICY tenant_rows ON {0}\n"
                      "  USING ({1} = (SELECT tenantctl.current_tenant()))\n"
                      "  WITH CHECK ({1} = (SELECT tenantctl.current_tenant()));",
                      name_, column_));
      to.down(fmt::format("DROP POLICY tenant_rows ON {};", name_));
      to.up(
          fmt::format("CREATE POLICY across_tenants ON {} FOR SELECT\n"
                      "  USING ((SELECT tenantctl.looks_across()));",
                      name_));
      to.down(fmt::format("DROP POLICY across_tenants ON {};", name_));
    }
  }

 private:
  const SharedTable& table_;
  std::string name_;
  std::string column_;
  std::string check_;
  std::string index_;
  const std::string& backfill_;
};

void warn_keys(const SharedTable& table, const std::string& column,
               const std::vector<std::string>& common, std::vector<std::string>& warnings) {
  for (const SharedTable::Key& key : table.keys) {
    if (key.is_primary) {
      warnings.push_back(fmt::format(
          "{0}: primary key {1} ({2}) is not led by {3}: whoever chooses a value that another "
          "tenant has is told that it exists. Unless the server chooses it: PRIMARY KEY ({3}, {2})",
          table.name, key.name, key.columns, column));
      continue;
    }
    warnings.push_back(fmt::format(
        "{0}: unique {1} ({2}) holds over all tenants: one keeps the others from its values, and "
        "tells of them. Each its own: UNIQUE ({3}, {2})",
        table.name, key.name, key.columns, column));
  }
  for (const SharedTable::Reference& reference : table.references) {
    if (std::ranges::count(common, reference.target) > 0) {
      continue;
    }
    warnings.push_back(
        fmt::format("{0}: foreign key {1} may point to another tenant's row, it asks no policy. "
                    "Closed: FOREIGN KEY ({2}, {3}) REFERENCES {4} ({2}, {5})",
                    table.name, reference.name, column, reference.columns,
                    quote_identifier(reference.target), reference.target_columns));
  }
}

void warn_objects(const SharedHome& home, const std::vector<const SharedTable*>& tables,
                  std::vector<std::string>& warnings) {
  for (const SharedTable* table : tables) {
    for (const std::string& sequence : table->sequences) {
      warnings.push_back(fmt::format(
          "{}: sequence {} counts for all tenants: its gaps tell how much the others write",
          table->name, sequence));
    }
    if (table->is_partitioned) {
      warnings.push_back(
          fmt::format("{}: policies hold on the partitioned table; grant nothing on its partitions",
                      table->name));
    }
  }
  for (const SharedView& view : home.views) {
    if (view.is_materialized) {
      warnings.push_back(fmt::format(
          "{}: a materialized view keeps all tenants' rows and knows no policies", view.name));
    }
  }
}

std::vector<const SharedTable*> chosen_tables(const SharedHome& home,
                                              const ProtectionOptions& options) {
  for (const auto* names : {&options.tables, &options.common}) {
    for (const std::string& name : *names) {
      if (home.find(name) == nullptr) {
        throw UsageError(
            fmt::format("home {} has no table {}", escaped_name(home.schema), escaped_name(name)),
            "Name it as the catalog does, without its schema.");
      }
    }
  }
  std::vector<const SharedTable*> chosen;
  for (const SharedTable& table : home.tables) {
    const bool is_meant = options.tables.empty()
                              ? std::ranges::count(options.common, table.name) == 0
                              : std::ranges::count(options.tables, table.name) > 0;
    const bool is_open = table.is_partition
                             ? !table.is_enabled || !table.is_forced || !table.has_policy
                             : !table.is_protected();
    if (is_meant && is_open) {
      chosen.push_back(&table);
    }
  }
  return chosen;
}

std::string comment(const std::string& text) { return "-- " + single_line(text) + "\n"; }

std::string first_head(const std::vector<const SharedTable*>& tables, const SharedHome& home,
                       const std::vector<std::string>& warnings) {
  std::vector<std::string> names;
  for (const SharedTable* table : tables) {
    names.push_back(table->name);
  }
  std::string head =
      comment(fmt::format("Keeps the rows of tenants apart in: {}.", fmt::join(names, ", ")));
  head += comment(
      fmt::format("A row belongs to whom {} says; the gate (tenantctl gate install) must be there.",
                  home.column));
  head += comment(
      "Where a tenant has the schema for itself the same holds: its sessions enter by the gate "
      "too.");
  head += comment(
      "Later revisions that change rows see none unless their role has BYPASSRLS: row security is "
      "forced.");
  if (!warnings.empty()) {
    head += "--\n-- Left for you to decide:\n";
    for (const std::string& warning : warnings) {
      head += comment("  " + warning);
    }
  }
  return head;
}

using Write = std::function<void(const TableText& table, Sections& to)>;

void add_file(Protection& protection, const std::vector<TableText>& tables, ProtectionFile file,
              const Write& write) {
  Sections sections;
  for (const TableText& table : tables) {
    write(table, sections);
  }
  if (sections.empty()) {
    return;
  }
  file.text = sections.text(file.text, file.transaction);
  protection.files.push_back(std::move(file));
}

void add_views(const SharedHome& home, Sections& to) {
  std::string invoke;
  std::string reset;
  for (const SharedView& view : home.views) {
    if (!view.is_materialized) {
      const std::string name = quote_identifier(view.name);
      invoke += fmt::format("    ALTER VIEW {} SET (security_invoker = true);\n", name);
      reset += fmt::format("    ALTER VIEW {} RESET (security_invoker);\n", name);
    }
  }
  if (invoke.empty()) {
    return;
  }
  // Before 15 a view reads as its owner, whom forced row security binds too.
  constexpr std::string_view block =
      "DO $views$\nBEGIN\n  IF current_setting('server_version_num')::int >= 150000 THEN\n{}"
      "  END IF;\nEND\n$views$;";
  to.up(fmt::format(fmt::runtime(block), invoke));
  to.down(fmt::format(fmt::runtime(block), reset));
}

// Of filled tables, up to where every row says whose it is.
void add_long_way(Protection& protection, const std::vector<TableText>& tables,
                  const std::string& head) {
  const auto if_filled = [](void (TableText::*write)(Sections&) const) {
    return [write](const TableText& table, Sections& to) {
      if (table.is_filled()) {
        (table.*write)(to);
      }
    };
  };
  add_file(protection, tables, {.message = "add tenant column", .transaction = true, .text = head},
           if_filled(&TableText::add_column));
  add_file(protection, tables,
           {.message = "fill tenant column",
            .transaction = false,
            .text = "-- In batches, each a transaction. Interrupted, it may run again: tenantctl\n"
                    "-- resolve --reverted says so.\n"},
           if_filled(&TableText::fill));
  add_file(protection, tables,
           {.message = "check tenant column",
            .transaction = true,
            .text = "-- NOT VALID: for what is written from now on, without reading the table.\n"},
           if_filled(&TableText::add_check));
  add_file(protection, tables,
           {.message = "validate tenant column",
            .transaction = true,
            .text = "-- Reads the table while it is written to.\n"},
           if_filled(&TableText::validate));
  add_file(protection, tables, {.message = "index tenant column", .transaction = false, .text = ""},
           [](const TableText& table, Sections& to) {
             if (table.needs_index() && table.builds_concurrently()) {
               table.add_index(to);
             }
           });
}

}  // namespace

Protection plan_protection(const SharedHome& home, const ProtectionOptions& options) {
  const std::vector<const SharedTable*> chosen = chosen_tables(home, options);
  Protection protection;
  std::vector<TableText> tables;
  std::vector<std::string> nobodys;
  for (const SharedTable* table : chosen) {
    protection.tables.push_back(table->name);
    tables.emplace_back(*table, home, options.backfill);
    if (tables.back().is_filled() && options.backfill.empty()) {
      nobodys.push_back(table->name);
    }
    warn_keys(*table, quote_identifier(home.column), options.common, protection.warnings);
  }
  if (!nobodys.empty()) {
    throw UsageError(fmt::format("nothing says whose rows these tables hold: {}",
                                 escaped_name(fmt::format("{}", fmt::join(nobodys, ", ")))),
                     "--backfill-tenant SLUG names one tenant, --backfill an SQL expression over "
                     "their columns; --common TABLE leaves a table alone.");
  }
  if (tables.empty()) {
    return protection;
  }
  warn_objects(home, chosen, protection.warnings);
  const std::string head = first_head(chosen, home, protection.warnings);
  add_long_way(protection, tables, head);
  Sections last;
  for (const TableText& table : tables) {
    if (!table.is_filled()) {
      table.add_column(last);
    }
    table.require(last);
    if (table.needs_index() && !table.builds_concurrently()) {
      table.add_index(last);
    }
    table.add_policies(last);
  }
  add_views(home, last);
  if (!last.empty()) {
    protection.files.push_back({.message = "protect shared rows",
                                .transaction = true,
                                .text = last.text(protection.files.empty() ? head : "", true)});
  }
  return protection;
}

}  // namespace tenantctl
