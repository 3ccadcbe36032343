#pragma once

#include <string>
#include <string_view>

namespace tenantctl {

/// A text kept in the catalog that names a schema. What refers to a schema's objects by oid (views,
/// foreign keys, nextval() of a default) follows a rename; a text does not: the body of a function,
/// its search_path, a literal in a view or a policy, a role's setting.
struct StoredText {
  std::string kind;  ///< function, view, default, role, ...
  std::string name;  ///< as PostgreSQL writes it
};

/// Where texts are looked for once a schema has got its new name: only then everything that follows
/// by oid is written with it, and what still says the old one is text.
struct TextSearch {
  std::string old_name;
  std::string schema;         ///< what it is called now
  std::string shared_schema;  ///< its objects are looked at as well
  int server_version = 0;
};

/// A query of (kind, name), one row a text, with the values as literals, for a session whose
/// search_path is `pg_catalog, pg_temp`. Functions are searched in all schemas, other objects in
/// the tenant's and the shared one: to write out every tenant's views would take minutes.
/// It finds the name as a whole word: in a comment too, rather too many than too few.
std::string stored_texts_query(const TextSearch& search);

/// The regular expression for a whole word of that name, plain or as a quoted identifier.
std::string word_pattern(std::string_view name);

}  // namespace tenantctl
