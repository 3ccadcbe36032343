#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "migrate/migrator.h"
#include "migrate/plan.h"
#include "pq/pipeline.h"
#include "revision/revision_folder.h"
#include "support/database.h"

namespace tenantctl::testing {

/// Long enough for a slow machine, short enough to end a test that hangs.
pq::Deadline soon();

std::vector<pq::Message> messages(const std::vector<std::string>& statements);

/// A revision as if read from `0012_name.sql`. Empty `down`: irreversible. Options such as
/// `transaction:false` for both sections.
Revision revision(RevisionNumber number, const std::string& up, const std::string& down = {},
                  const std::string& options = {});
Revision autocommit_revision(RevisionNumber number, const std::string& up,
                             const std::string& down = {});

/// Same revisions, checksums and digests, in the same order, all applied.
bool is_same(const History& one, const History& other);

/// Puts `unchecked` in place of the plan's last revision, past everything that would refuse it.
void forge(Plan& plan, Revision& unchecked);

/// A connection of the product's own to a test's database.
class Session {
 public:
  explicit Session(const TestDatabase& database, const std::string& role = {});

  pq::Connection& connection() { return connection_; }
  pq::Pipeline& pipeline() { return pipeline_; }

  pq::FlightAnswer send(std::vector<pq::Message> flight);
  pq::FlightAnswer send_sql(const std::vector<std::string>& statements);
  /// One statement; throws pq::ServerError.
  void execute(const std::string& sql);

  /// Takes a schema along a plan as a worker does: ROLLBACK after a failed transaction, DISCARD ALL
  /// after what leaves traces. At most `segments` segments.
  Outcome migrate(const std::string& schema, const Plan& plan, const MigrateOptions& options = {},
                  std::size_t segments = 1'000);

  History history(const std::string& schema);

 private:
  pq::Connection connection_;
  pq::Pipeline pipeline_;
};

/// Plans from what the schema's rows say now, and migrates.
struct Steps {
  Session& session;
  const RevisionFolder& folder;
  std::string schema = "one";
  MigrateOptions options = {};

  Outcome fresh(std::string_view target = "head") const;
  Outcome upgrade(std::string_view target = "head", bool out_of_order = false) const;
  Outcome downgrade(std::string_view target) const;
};

}  // namespace tenantctl::testing
