#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pq/message.h"

namespace tenantctl {

using Oid = std::uint32_t;

/// A role as pg_roles shows it.
struct Role {
  Oid oid = 0;
  std::string name;
  bool is_superuser = false;
  bool bypasses_rows = false;  ///< BYPASSRLS
  std::string attributes;      ///< `SUPERUSER, CREATEDB`: what no tenant's role may have

  bool sees_all_rows() const { return is_superuser || bypasses_rows; }
};

/// All roles of the server and who is a member of whom, read once. Asking the server for each pair
/// of role and object takes a multiple of all other work together; here a closure costs its size.
///
/// Any membership counts, whatever its INHERIT, SET and ADMIN options say: it is one SET ROLE or
/// one GRANT away from the rights themselves.
class RoleGraph {
 public:
  /// The messages that fill the graph, which must outlive them.
  std::vector<pq::Message> questions();

  const Role* find(Oid oid) const;
  const Role* find(std::string_view name) const;
  /// `PUBLIC` for 0, the oid where the role is gone.
  std::string name_of(Oid oid) const;

  /// The role itself and whatever it is a member of, directly or not.
  std::vector<Oid> groups_of(Oid role) const;
  /// The role itself and all its members, direct or not. PUBLIC (0) has none.
  std::vector<Oid> members_of(Oid role) const;

 private:
  using Edges = std::unordered_map<Oid, std::vector<Oid>>;
  static std::vector<Oid> closure(const Edges& edges, Oid start);

  std::unordered_map<Oid, Role> roles_;
  std::unordered_map<std::string, Oid> oids_;
  Edges groups_;
  Edges members_;
};

}  // namespace tenantctl
