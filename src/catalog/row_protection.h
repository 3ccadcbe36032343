#pragma once

#include <string>
#include <vector>

#include "catalog/shared_home.h"

namespace tenantctl {

/// What `rows protect` was asked for.
struct ProtectionOptions {
  std::vector<std::string> tables;  ///< empty: all that are not protected
  std::vector<std::string> common;  ///< tables that are the same for all tenants: left alone
  std::string backfill;  ///< SQL expression: whose a row is that says nothing; empty: not known
};

/// A revision of the tenant scope that is to be written.
struct ProtectionFile {
  std::string message;
  bool transaction = true;
  std::string text;  ///< the whole file
};

/// What has to be written, and what only a person can decide. A value.
struct Protection {
  std::vector<std::string> tables;    ///< that get protected, by name
  std::vector<std::string> warnings;  ///< as in the first file's head
  std::vector<ProtectionFile> files;  ///< in the order in which they are applied
};

/// Plans the way from a home as it is to one that `audit isolation` finds nothing in: tenant column
/// with a default from the gate, an index led by it, ROW LEVEL SECURITY enabled and forced, and
/// policies that deny where no tenant is entered. Tables without rows need one revision; for filled
/// ones it is the long way, on which no statement holds a lock for as long as it reads: column,
/// backfill in batches, check, validation, index, NOT NULL.
///
/// Throws UsageError for a table that the home does not have, and for filled ones without
/// `backfill`.
Protection plan_protection(const SharedHome& home, const ProtectionOptions& options);

}  // namespace tenantctl
