#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "migrate/history.h"
#include "revision/scope.h"

namespace tenantctl {

/// The summary of a version table that it bears as its own comment, written in the same transaction
/// as every change: it tells where a schema stands without opening its table. The rows are the
/// truth; equal digests are equal histories.
struct Mark {
  Scope scope = Scope::tenant;
  RevisionNumber head = 0;     ///< highest applied number; 0 at base
  std::size_t count = 0;       ///< applied revisions
  std::string digest;          ///< of the newest applied row; empty at base
  std::string repeatables;     ///< digest of the recorded repeatables; empty: none
  RevisionNumber running = 0;  ///< a revision half-way outside a transaction; 0: none
  bool dropping = false;       ///< `tenant drop` has begun to empty the schema

  /// Nothing if the comment is not a mark in this version's form. Marks from before repeatables
  /// read as such without any.
  static std::optional<Mark> parse(std::string_view comment);
  static Mark of(Scope scope, const History& history);

  std::string text() const;
  bool operator==(const Mark&) const = default;
};

}  // namespace tenantctl
