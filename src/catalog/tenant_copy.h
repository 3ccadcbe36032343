#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "catalog/place_shape.h"
#include "pq/transaction.h"

namespace tenantctl {

/// Whose rows are meant, and what says so in shared tables.
struct CopiedTenant {
  std::string id;
  std::string column = "tenant_id";
  std::vector<std::string> common;  ///< tables of a home that are the same for all
  std::string path_behind;          ///< of the search_path, as path_text() writes it

  bool is_common(const std::string& table) const;
};

/// A schema with a tenant's rows, seen in a transaction that stays open.
struct CopyPlace {
  pq::OpenTransaction& transaction;
  const PlaceShape& shape;
  bool is_home = false;  ///< others have rows there, too
};

/// What a table has of a tenant: how many rows, and the sum of a hash of each, whatever their
/// order.
struct TableSum {
  std::string table;
  std::uint64_t rows = 0;
  std::string hash;

  bool operator==(const TableSum&) const = default;
};

/// Settings under which rows read the same in every session.
void fix_settings(pq::OpenTransaction& transaction, const std::string& tenant_id);

/// The tenant's tables as they are; of a home without those that all have in common. Where row
/// security hides rows from the owner, a tenant's own schema is read past it, for this transaction;
/// nobody writes there until it ends.
std::vector<TableSum> read_sums(const CopyPlace& place, const CopiedTenant& tenant);

/// Copies a tenant's rows from one place into another that stands at the same revision, in
/// transactions that the caller commits, and compares them there: counts and hashes. In a schema of
/// the tenant's own whatever its revisions inserted gives way, its triggers do not fire, and
/// sequences go on where those of the source are. Into a home rows are inserted as a session of the
/// tenant's would insert them.
///
/// Writers of a source of the tenant's own are kept out by a lock until its transaction ends.
class TenantCopy {
 public:
  /// The same transaction for both, or one in each of two databases: then rows are streamed.
  /// `patience` with an answer.
  TenantCopy(CopyPlace source, CopyPlace target, CopiedTenant tenant,
             std::chrono::milliseconds patience);

  /// Throws Error where a key is taken, a row refers to one that is not there, rows are not the
  /// tenant's, or the copy is not like the source; ServerError, ConnectionLost.
  std::vector<TableSum> run();

 private:
  bool is_one_database() const { return &source_.transaction == &target_.transaction; }
  bool is_copied(const PlaceTable& table) const;
  void empty_target();
  void refuse_strangers();
  void copy_blank(const PlaceTable& table);
  void copy_step(const std::vector<std::size_t>& step);
  void stream(const PlaceTable& table);
  void stage(const PlaceTable& table, const std::string& name);
  std::string insert(const PlaceTable& table, const std::string& source) const;
  std::string rows_of(const PlaceTable& table) const;
  void compare_common();
  std::vector<TableSum> compare();
  void set_sequence(const std::string& name);
  void finish();
  [[noreturn]] void explain_refusal(const pq::ServerError& error) const;

  CopyPlace source_;
  CopyPlace target_;
  CopiedTenant tenant_;
  std::chrono::milliseconds patience_;
};

}  // namespace tenantctl
