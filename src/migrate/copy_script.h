#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tenant/schema_name.h"
#include "tenant/stored_texts.h"

namespace tenantctl {

/// What stands around a dump's SQL so that psql restores it under another name, in one transaction.
///
/// A dump names its schema everywhere, and pg_restore cannot rename. So the dump is restored under
/// its own name, where PostgreSQL gives everything its oid, and then ALTER SCHEMA renames it. If a
/// schema has that name, it bears another until then: inside this transaction alone. Nobody else
/// ever sees it, and no lock keeps anybody from using it meanwhile (RENAME takes none).
struct CopyScript {
  std::string from;           ///< the dump's schema
  std::string to;             ///< what it is to be called
  bool collides = false;      ///< there is a schema `from` already
  std::string version_table;  ///< of the dump
  std::string mark;           ///< that it must bear
  std::string shared_schema;
  bool forces = false;  ///< although texts say the old name
  int server_version = 0;
  std::vector<std::string> readers = {};  ///< that may read the copy's version table
  std::string role = {};                  ///< as which all of it is done; empty: as who logs in

  std::string before() const;
  std::string after() const;

  /// Out of what psql printed.
  static std::vector<StoredText> texts_in(std::string_view output);
};

}  // namespace tenantctl
