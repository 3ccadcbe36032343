#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/database_project.h"

using namespace tenantctl::testing;

namespace {

/// A tenant of each isolation, called like it, and somebody who is in the way.
class MeetingProject : public ManyDatabases {
 public:
  MeetingProject() {
    write("tenant/0001_notes.sql", "CREATE TABLE notes (tenant_id uuid, body text);",
          "DROP TABLE notes;");
    must({"registry", "init"});
    must({"tenant", "create", "schema"});
    must({"tenant", "create", "database", "--isolation", "database"});
    must({"tenant", "create", "rows", "--isolation", "rows", "--home", "home", "-q"});
  }

  std::string states() const {
    return database.value(
        "SELECT string_agg(slug || ' ' || state, ',' ORDER BY slug) "
        "FROM tenantctl.tenant");
  }

  /// As a run has it that moves the tenant.
  void hold(const std::string& slug, bool holds) const {
    database.execute(std::string("SELECT ") + (holds ? "pg_advisory_lock" : "pg_advisory_unlock") +
                     "(1952670775, hashtext(id::text)) FROM tenantctl.tenant WHERE slug = '" +
                     slug + "'");
  }

  /// Runs a command that finds the tenant as he was, and gets at his row when he is suspended.
  Finished run_into(const std::string& slug, const std::vector<std::string>& command) {
    database.execute("BEGIN; UPDATE tenantctl.tenant SET state = 'suspended' WHERE slug = '" +
                     slug + "'");
    auto run = tool.start(command);
    const std::string waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    for (int i = 0; i < 100 && database.value(waiting) == "0"; ++i)
      database.value("SELECT pg_sleep(0.05)");
    CHECK(database.value(waiting) != "0");
    database.execute("COMMIT");
    auto finished = run.wait();
    database.execute("UPDATE tenantctl.tenant SET state = 'ready' WHERE state = 'suspended'");
    return finished;
  }
};

const std::vector<std::string> isolations{"schema", "database", "rows"};

std::vector<std::vector<std::string>> changes_of(const std::string& slug) {
  return {{"tenant", "drop", slug, "--yes"},
          {"tenant", "drop", slug, "--purge", "--yes"},
          {"tenant", "rename", slug, "another"}};
}

}  // namespace

TEST_SUITE("cli/life of who meet") {
  TEST_CASE("whom a move holds is neither dropped nor renamed, and whom a drop holds not moved") {
    MeetingProject project;
    const std::string before = project.states();
    for (const std::string& slug : isolations) {
      project.hold(slug, true);
      for (const auto& command : changes_of(slug)) {
        CAPTURE(command[1] + " " + slug);
        CHECK(fault(project.run(command), 3, {"another run is moving, renaming or dropping"}) ==
              "");
      }
      CHECK(fault(project.run({"tenant", "move", slug, "--to", slug == "rows" ? "schema" : "rows"}),
                  3, {"another run is moving, renaming or dropping tenant " + slug}) == "");
      project.hold(slug, false);
    }
    CHECK(project.states() == before);
    project.must({"registry", "check"});
    for (const std::string& slug : isolations)
      project.must({"tenant", "drop", slug, "--yes"});
    CHECK(project.states() == "database deleting,rows deleting,schema deleting");
  }

  TEST_CASE("who was changed after he was looked at is left alone") {
    MeetingProject project;
    const std::string before = project.states();
    for (const std::string& slug : isolations) {
      for (const auto& command : changes_of(slug)) {
        CAPTURE(command[1] + " " + slug);
        CHECK(fault(project.run_into(slug, command), 1,
                    {"the tenant was changed by somebody else meanwhile"}) == "");
      }
    }
    CHECK(project.states() == before);
    project.must({"registry", "check"});
    CHECK(fault(project.run({"check"}), 0) == "");
  }
}
