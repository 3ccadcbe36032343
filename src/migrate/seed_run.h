#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "migrate/options.h"
#include "migrate/outcome.h"
#include "migrate/seed_table.h"
#include "migrate/segment.h"
#include "pq/pipeline.h"
#include "revision/revision.h"

namespace tenantctl {

/// Whose seeds run, and where.
struct SeedTarget {
  SchemaName schema;
  Scope scope = Scope::tenant;
  bool shares_rows = false;  ///< others have rows in the schema, too
  /// What the registry says of the tenant, for `tenantctl.param_tenant_...`; empty where nobody is
  /// registered.
  std::string id = {};
  std::string slug = {};
  std::string name = {};
  std::string tier = {};
  std::string metadata = {};  ///< JSON, an object

  /// As its records say whose they are.
  std::string key() const { return shares_rows ? id : std::string(); }
};

/// What became of a tenant's seeds.
struct SeedOutcome {
  std::vector<std::string> applied;  ///< by this run
  std::vector<std::string> edited;   ///< stand there, but were another text when they ran
};

/// Values by parameter. Never part of a text that is sent, shown or stored.
using SeedValues = std::map<std::string, std::string>;

/// A seed did not go through, or the tenant could not be seeded. Nothing was kept.
class SeedFailed : public Error {
 public:
  SeedFailed(Verdict verdict, Failure failure);
  Verdict verdict() const { return verdict_; }
  const Failure& failure() const { return failure_; }

 private:
  Verdict verdict_;
  Failure failure_;
};

/// One transaction of seeds on a connection of its own: of one tenant, or of several that are made
/// together. Each seed that is not recorded runs under the schema's lock with the settings that
/// revisions have, its record beside it. Parameters reach the SQL as transaction-local settings.
///
/// Throws SeedFailed, ServerError for what the caller sends along, ConnectionLost. ROLLBACK on
/// destruction unless commit() was reached.
class SeedRun {
 public:
  /// All must outlive it. `is_stopped`: cancels what runs.
  SeedRun(pq::Pipeline& pipeline, const MigrateOptions& options, const SeedValues& values,
          std::function<bool()> is_stopped);
  ~SeedRun();
  SeedRun(const SeedRun&) = delete;
  SeedRun& operator=(const SeedRun&) = delete;

  /// Statements of the caller's own, in the same transaction.
  void run(std::vector<pq::Message> messages);
  SeedOutcome seed(const SeedTarget& target, const std::vector<const Revision*>& seeds);
  void commit();

 private:
  pq::FlightAnswer send(std::vector<pq::Message> messages);
  void enter(const SeedTarget& target, const SeedTable& table, SeedTable::Found& found);
  void make_table(const SeedTable& table);
  void apply(const SeedTarget& target, const SeedTable& table, const Revision& seed);
  pq::Message parameters(const SeedTarget& target, const Revision& seed) const;
  std::string detail_of(const pq::ServerFields& error) const;
  std::string without_values(std::string text) const;
  [[noreturn]] void fail(const pq::ServerFields& error, Part part) const;

  pq::Pipeline& pipeline_;
  const MigrateOptions& options_;
  const SeedValues& values_;
  std::function<bool()> is_stopped_;
  bool leaves_traces_ = false;
  bool open_ = true;
};

}  // namespace tenantctl
