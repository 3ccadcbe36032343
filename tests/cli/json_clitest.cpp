#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;

namespace {

// Collects documents and judges all of them by their commands' schemas at its end: an interpreter
// for each would take most of the suite's time.
class Judge {
 public:
  Judge() = default;
  ~Judge() { CHECK(schema_errors(documents_) == ""); }

  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  void operator()(const Finished& finished, const std::string& name) {
    const auto file = name + ".schema.json";
    CAPTURE(finished.err);
    CHECK(finished.out.starts_with("{\n  \"format_version\": 1,\n  \"command\": "));
    documents_.push_back({finished.out, source_folder() / "tests/schemas" / file});
  }

 private:
  std::vector<Judged> documents_;
};

// A project in which every command has something to say.
struct JsonProject : Project {
  JsonProject() {
    write("shared/0001_x.sql", "CREATE TABLE x (id int);", "DROP TABLE x;");
    write_abc();
    tool.set_variable("TENANTCTL_OUTPUT", "json");
  }

  Finished yes(std::vector<std::string> args) const {
    args.emplace_back("--yes");
    return run(args);
  }
};

}  // namespace

TEST_SUITE("cli/json") {
  TEST_CASE("commands on the folder fit their schemas") {
    Judge judge;
    const Tool tool;
    judge(tool.run({"init", "-o", "json"}), "init");
    judge(tool.run({"init", "--output=json"}), "init");
    judge(tool.run({"revision", "one", "--scope", "tenant", "--output", "json"}), "revision");
    JsonProject project;
    judge(project.run({"history"}), "history");
    judge(project.run({"show", "1"}), "show");
    judge(project.run({"show", "1", "--scope", "shared"}), "show");
  }

  TEST_CASE("runs fit their schemas, whether they go well or not") {
    Judge judge;
    JsonProject project;
    judge(project.run({"upgrade-all"}), "upgrade-all");
    judge(project.run({"tenant", "create", "t1", "t2"}), "tenant-create");
    judge(project.yes({"downgrade", "0001", "--schema", "t1"}), "downgrade");
    judge(project.run({"upgrade", "+1", "--schema", "t1"}), "upgrade");
    judge(project.run({"upgrade", "--scope", "shared"}), "upgrade");
    judge(project.yes({"downgrade-all", "0001"}), "downgrade-all");
    judge(project.run({"stamp", "base", "--schema", "t2"}), "stamp");
    judge(project.run({"stamp", "0001", "--all"}), "stamp");
    project.write("tenant/0002_b.sql", "SELECT 'x' + 1;");
    const auto failed = project.run({"upgrade-all"});
    judge(failed, "upgrade-all");
    CHECK(failed.exit_code == 1);
    const auto cause = nlohmann::json::parse(failed.out)["tenants"]["causes"][0];
    CHECK(cause["failure"]["sqlstate"] == "22P02");
    CHECK(cause["failure"]["place"]["line"] == 2);
    CHECK(cause["schemas"] == nlohmann::json{"t1", "t2"});
    CHECK(contains(failed.err, "tenantctl: 2 schemas: upgrade of revision 0002_b failed"));
    const auto created = project.run({"tenant", "create", "t3"});
    judge(created, "tenant-create");
    CHECK(created.exit_code == 1);
    project.write("shared/0002_bad.sql", "SELECT nope;");
    judge(project.run({"upgrade-all"}), "upgrade-all");
    judge(project.run({"upgrade", "--scope", "shared"}), "upgrade");
  }

  TEST_CASE("recording fits its schemas") {
    Judge judge;
    JsonProject project;
    project.must({"tenant", "create", "t1"});
    project.database.execute("CREATE SCHEMA old");
    judge(project.run({"tenant", "adopt", "--like", "old"}), "tenant-adopt");
    project.write("tenant/0002_b.sql", "SELECT 2;");
    judge(project.run({"upgrade-all"}), "upgrade-all");
    judge(project.run({"accept-checksum", "2", "--schema", "t1"}), "accept-checksum");
    judge(project.run({"accept-checksum", "2", "--all"}), "accept-checksum");
  }

  TEST_CASE("plans and SQL fit the schemas of their commands") {
    Judge judge;
    JsonProject project;
    project.must({"upgrade-all"});
    project.must({"tenant", "create", "t1"});
    project.must({"downgrade", "1", "--schema", "t1", "--yes"});
    project.database.execute("CREATE SCHEMA old");
    using Args = std::vector<std::string>;
    const std::vector<std::pair<std::string, Args>> commands{
        {"upgrade-all", {"upgrade-all"}},
        {"upgrade", {"upgrade", "--schema", "t1"}},
        {"upgrade", {"upgrade", "--schema", "new", "--create"}},
        {"upgrade", {"upgrade", "--scope", "shared"}},
        {"downgrade", {"downgrade", "base", "--schema", "t1"}},
        {"downgrade-all", {"downgrade-all", "base"}},
        {"stamp", {"stamp", "head", "--all"}},
        {"accept-checksum", {"accept-checksum", "1", "--schema", "t1"}},
        {"tenant-create", {"tenant", "create", "new"}},
        {"tenant-adopt", {"tenant", "adopt", "--schema", "old"}}};
    for (const auto& [name, args] : commands) {
      for (const auto* const how : {"--dry-run", "--sql"}) {
        CAPTURE(name);
        CAPTURE(how);
        auto line = args;
        line.emplace_back(how);
        const auto run = project.run(line);
        CHECK(fault(run, 0) == "");
        judge(run, name);
      }
    }
    judge(project.run({"upgrade", "--schema", "t1", "--sql", "--from", "1"}), "upgrade");
    project.write("tenant/0001_a.sql", "SELECT 2;");
    judge(project.run({"upgrade-all", "-n"}), "upgrade-all");
    CHECK_FALSE(project.has_schema("new"));
  }

  TEST_CASE("what is shown of the fleet fits its schemas") {
    Judge judge;
    JsonProject project;
    judge(project.run({"status"}), "status");
    judge(project.run({"tenant", "list"}), "tenant-list");
    project.must({"upgrade-all"});
    project.must({"tenant", "create", "t1", "t2", "t3", "t4", "t5"});
    project.must({"downgrade", "base", "--schema", "t1", "--yes"});
    project.must({"downgrade", "2", "--schema", "t2", "--yes"});
    project.database.execute(
        "COMMENT ON TABLE t3.tenantctl_version IS NULL;"
        "ALTER TABLE t4.tenantctl_version ENABLE ROW LEVEL SECURITY;"
        "DROP TABLE t5.tenantctl_version; CREATE TABLE t5.tenantctl_version (n int)");
    judge(project.run({"status"}), "status");
    judge(project.run({"check"}), "check");
    judge(project.run({"tenant", "list"}), "tenant-list");
    judge(project.run({"current", "-s", "t1", "-s", "t2"}), "current");
    judge(project.run({"current", "--scope", "shared"}), "current");
    judge(project.run({"history", "--schema", "t2"}), "history");
    project.write("tenant/0001_a.sql", "SELECT 2;");
    judge(project.run({"current", "-s", "t2"}), "current");
    judge(project.run({"history", "--schema", "t2"}), "history");
    judge(project.run({"upgrade-all"}), "upgrade-all");
    const std::string query = "SELECT 't1' UNION SELECT 't9'";
    judge(project.run({"status", "--tenants-query", query}), "status");
    judge(project.run({"tenant", "list", "--tenants-query", query}), "tenant-list");
    judge(project.run({"upgrade-all", "--tenants-query", query}), "upgrade-all");
    judge(project.yes({"tenant", "drop", "t1", "t2"}), "tenant-drop");
    judge(project.run({"tenant", "list", "--state", "deleting"}), "tenant-list");
    judge(project.run({"tenant", "undrop", "t1"}), "tenant-undrop");
    judge(project.yes({"tenant", "purge", "--all"}), "tenant-purge");
    judge(project.run({"tenant", "rename", "t1", "u1"}), "tenant-rename");
  }

  TEST_CASE("an error is a document on stdout and a text on stderr") {
    Judge judge;
    JsonProject project;
    const auto check = [&](const Finished& run, int code, const std::string& kind) {
      CHECK(fault(run, code) == "");
      judge(run, "error");
      CHECK(run.err.starts_with("tenantctl: "));
      const auto json = nlohmann::json::parse(run.out, nullptr, false);
      REQUIRE_FALSE(json.is_discarded());
      CHECK(json["error"]["kind"] == kind);
    };
    check(project.run({"upgrade", "--schema", "nope"}), 2, "usage");
    check(project.run({"upgrade-all", "--tenants", "nope"}), 2, "usage");
    check(project.run({"upgrade-all", "--tenants-query", "SELECT nope"}), 2, "usage");
    check(project.run({"status", "--database-url", unreachable_url}), 3, "unavailable");
    project.write_raw("tenant/0004_bad.sql", "nothing");
    project.write_raw("tenant/0005_bad.sql", "nothing");
    check(project.run({"upgrade-all"}), 2, "usage");
    // The command line is so wrong that the variable was not read.
    check(project.run({"upgrad", "--output", "json"}), 2, "usage");
    check(project.run({"upgrade-all", "--nope", "-o", "json"}), 2, "usage");
    project.tool.folder().write("tenantctl.toml", "nope = 1\n");
    check(project.run({"upgrade-all", "-o", "json"}), 2, "usage");
  }

  TEST_CASE("names and messages that are no UTF-8 still make a valid document") {
    Judge judge;
    JsonProject project;
    const auto run = project.run({"upgrade", "--schema",
                                  "a\xff"
                                  "b"});
    judge(run, "error");
    CHECK(run.exit_code == 2);
  }
}
