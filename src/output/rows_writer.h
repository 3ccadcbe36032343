#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "catalog/row_eraser.h"
#include "output/format.h"

namespace tenantctl {

/// Tenants registered in a home of shared rows.
struct RowsCreated {
  std::string home;
  bool home_is_new = false;  ///< made, or upgraded, by this command
  std::vector<std::string> slugs;
};
void write_rows_created(std::ostream& out, Format format, const RowsCreated& created);

/// The revisions that `rows protect` wrote; no files where nothing is left to protect.
struct RowsProtected {
  std::string home;
  std::vector<std::string> tables;
  std::vector<std::string> files;
  std::vector<std::string> warnings;  ///< what only a person can decide
};
void write_rows_protected(std::ostream& out, Format format, const RowsProtected& result);

}  // namespace tenantctl
