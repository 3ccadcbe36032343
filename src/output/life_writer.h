#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "output/format.h"
#include "tenant/schema_facts.h"
#include "tenant/stored_texts.h"
#include "tenant/tenant_file.h"
#include "tenant/tenant_moves.h"
#include "tenant/tenant_registry.h"

namespace tenantctl {

/// The tenants of a fleet; with the registry's columns where there is one.
struct TenantList {
  struct Dropped {
    std::string name;  ///< what its schema was called
    std::string at;
  };
  struct Tenant {
    std::string schema;  ///< or `database/schema`; of who shares a home, the home
    std::string revision;
    /// Of its version table: ok, home, pool, unmarked, foreign, missing, unavailable; elsewhere
    /// where nobody looked; dropped.
    std::string state;
    std::optional<RegisteredTenant> registered = std::nullopt;
    std::optional<Dropped> dropped = std::nullopt;
    std::optional<TenantMove> move = std::nullopt;  ///< that is not ended
  };
  bool has_registry = false;
  std::vector<Tenant> tenants;
};
void write_tenants(std::ostream& out, Format format, const TenantList& list);

/// What a tenant has of the folder's seeds.
struct SeedView {
  struct Applied {
    std::string name;
    std::string at;
    std::string by;
    bool is_edited = false;  ///< the file is another text today
  };
  std::vector<Applied> applied;
  std::vector<std::string> pending;
};

/// One tenant, from all sides.
struct TenantView {
  std::string schema;    ///< in its own database; of who shares a home, the home
  std::string state;     ///< as in a TenantList
  std::string revision;  ///< title, `base`, or `-` where nobody can tell
  std::size_t applied = 0;
  std::optional<std::size_t> pending = 0;  ///< nothing of one that was dropped
  std::size_t repeatables_pending = 0;
  std::string digest;
  std::string note;  ///< why it needs somebody
  std::optional<SchemaFacts> facts;
  bool has_registry = false;
  std::optional<RegisteredTenant> registered;
  std::vector<std::string> disagreements;         ///< of registry and schema
  std::optional<TenantMove> move = std::nullopt;  ///< that is not ended
  std::optional<SeedView> seeds = std::nullopt;   ///< nothing where nobody looked
};
void write_tenant_view(std::ostream& out, Format format, const TenantView& view);

/// What else is called otherwise from now on.
struct NameChange {
  std::string from;
  std::string to;
};

/// What `tenant rename` found, and whether it did it.
struct TenantRename {
  std::string from;  ///< schemas, or the slugs of who has a database or shared rows
  std::string to;
  std::string isolation = "schema";
  bool forced = false;
  std::vector<StoredText> texts = {};                 ///< that say the old name
  std::optional<NameChange> database = std::nullopt;  ///< renamed along

  bool is_done() const { return forced || texts.empty(); }
};
/// Texts go to `err` for people, as what is to be mended.
void write_rename(std::ostream& out, std::ostream& err, Format format, const TenantRename& result);

struct TenantExport {
  std::string file;
  TenantFileHeader header;
};
void write_export(std::ostream& out, Format format, const TenantExport& result);

/// A tenant that was made out of another's dump.
using TenantClone = TenantRename;
void write_copy(std::ostream& out, std::ostream& err, Format format, std::string_view command,
                const TenantClone& copy);

/// `812 bytes`, `14.2 MB`: in powers of 1024, as PostgreSQL counts.
std::string size_text(std::uint64_t bytes);

}  // namespace tenantctl
