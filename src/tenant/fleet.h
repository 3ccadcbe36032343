#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/site.h"

namespace tenantctl {

/// Where tenants are looked for.
struct FleetQuery {
  std::string version_table = "tenantctl_version";
  std::vector<std::string> owners;  ///< roles besides our own whose version tables are trusted
  std::string tenants_query;        ///< the application's SELECT of schema names; empty: by mark
};

/// One schema as the catalog shows it, before anybody has read its version table.
struct FoundSchema {
  enum class State : std::uint8_t {
    ours,     ///< has a version table that may be trusted and written
    foreign,  ///< has a table of that name with somebody else's hand in it: never written
    bare,     ///< exists, without a version table
    missing,  ///< named by the tenants query, but there is no such schema
    away      ///< in another database, which was not looked at
  };
  std::string schema;         ///< `database/schema` at another site
  std::uint32_t comment = 0;  ///< index into Fleet::comments: the version table's comment
  State state = State::bare;
  std::uint32_t site = 0;  ///< 0: here; else one more than its index into Fleet::sites
};

/// Every schema with a version table, found by one catalog query: no tenant's table is opened.
/// Comments are kept once however many schemas share them, so that 100,000 tenants in three
/// versions cost their names. Sorted by name (bytes).
struct Fleet {
  std::vector<FoundSchema> schemas;
  std::vector<std::string> comments;
  std::vector<Site> sites;  ///< where else tenants live
  /// What a tenant who lives elsewhere goes by as well, to its name here. Empty name: several do.
  std::map<std::string, std::string> slugs;
  bool has_registry = false;  ///< there is a table of its name, whoever made it

  const std::string& comment_of(const FoundSchema& schema) const {
    return comments[schema.comment];
  }
  /// Where the schema lives; nullptr: in the database that was read.
  const Site* site_of(const FoundSchema& schema) const {
    return schema.site == 0 ? nullptr : &sites[schema.site - 1];
  }
  /// Its name in its own database.
  std::string local_name(const FoundSchema& schema) const {
    const Site* site = site_of(schema);
    return site == nullptr ? schema.schema : site->schema_of(schema.schema);
  }
  /// Adds a schema that lives elsewhere, without looking there; `slug` is its tenant's. Those of
  /// one site one behind the other. Sort() when all are added.
  void add_away(const Site& site, std::string_view schema, const std::string& slug = {});
  /// By name. Throws UsageError for two of the same name: a schema here that is called like the
  /// database and schema of another.
  void sort();
  /// The schema of that name, or nullptr.
  const FoundSchema* find(std::string_view schema) const;
  /// The schema of that name alone; empty if it is not there, or lives elsewhere.
  Fleet only(std::string_view schema) const;
  /// Leaves only schemas that `known` does not have.
  void remove(const Fleet& known);
  /// Takes over their names; not their comments, so that it only serves to be asked for names.
  void add_names(const Fleet& more);
};

/// Reads all schemas that have a version table; with a tenants query, those it names instead, and
/// the shared schema. Throws ServerError (a bad tenants query with a hint), ConnectionLost.
Fleet read_fleet(pq::Pipeline& pipeline, const FleetQuery& query, const std::string& shared_schema,
                 pq::Deadline deadline);

/// Reads only the named schemas; those that do not exist are `missing`.
Fleet read_schemas(pq::Pipeline& pipeline, const FleetQuery& query,
                   const std::vector<std::string>& names, pq::Deadline deadline);

/// Names of schemas that a LIKE pattern matches, whether or not they have a version table; the
/// server's own, `public` and the tool's are left out.
std::vector<std::string> read_schema_names(pq::Pipeline& pipeline, const std::string& like,
                                           pq::Deadline deadline);

/// Those of `schemas` that hold tables: what a revision names without its schema could reach them.
std::vector<std::string> read_table_holders(pq::Pipeline& pipeline,
                                            const std::vector<std::string>& schemas,
                                            pq::Deadline deadline);

/// Whether a condition is asked of one table or of all there are: the same question, but the server
/// needs it put differently to be quick.
enum class Lookup { one, all };

/// SQL condition over pg_class `c` and pg_namespace `n`: the version table may be trusted. An
/// ordinary table without triggers, rules, row security or inheritance, and both it and its schema
/// are owned by the current role or one of `owners`. A planted table with a trigger would otherwise
/// run its function as the migrating role (tried). `public` may belong to pg_database_owner when
/// the database is ours.
std::string ownership_condition(const std::vector<std::string>& owners, Lookup lookup);

}  // namespace tenantctl
