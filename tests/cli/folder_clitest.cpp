#include <doctest/doctest.h>

#include <filesystem>
#include <regex>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_SUITE("cli/init") {
  TEST_CASE("an empty folder becomes a project, and nothing is written twice") {
    const Tool tool;
    CHECK(fault(tool.run({"init"}), 0,
                {"made migrations/shared/versions\n", "made migrations/tenant/versions\n",
                 "made tenantctl.toml\n", "Next: tenantctl revision"}) == "");
    CHECK(fs::is_directory(tool.folder().path() / "migrations/shared/versions"));
    CHECK(fs::is_directory(tool.folder().path() / "migrations/tenant/versions"));

    tool.folder().write("tenantctl.toml", "jobs = 2\n");
    CHECK(fault(tool.run({"init"}), 0, {"kept tenantctl.toml\n"}) == "");
    CHECK(tool.folder().read("tenantctl.toml") == "jobs = 2\n");
  }

  TEST_CASE("the written configuration is valid as it is and with all its lines in force") {
    const Tool tool;
    tool.run({"init"});
    CHECK(fault(tool.run({"history"}), 0) == "");

    std::string text;
    for (auto line : lines_of(tool.folder().read("tenantctl.toml"))) {
      static const std::regex key("# ([a-z-]+ = .*)");
      text += std::regex_replace(line, key, "$1") + "\n";
    }
    REQUIRE(contains(text, "\njobs = 4\n"));
    tool.folder().write("tenantctl.toml", text);
    CHECK(fault(tool.run({"history"}), 0) == "");
  }

  TEST_CASE("a folder that cannot be made is an error with its reason") {
    const Tool tool;
    tool.folder().write("migrations", "a file");
    CHECK(fault(tool.run({"init"}), 1, {"migrations", "HINT:"}) == "");
  }
}

TEST_SUITE("cli/revision") {
  TEST_CASE("a new revision bears the time and has both sections") {
    const Tool tool;
    const auto made = tool.run({"revision", "Add invoices!", "--scope", "tenant"});
    REQUIRE(fault(made, 0) == "");
    CHECK(std::regex_match(
        made.out, std::regex("migrations/tenant/versions/20[0-9]{12}_add_invoices\\.sql\n")));
    const auto text = tool.folder().read(made.out.substr(0, made.out.size() - 1));
    CHECK(contains(text, "-- migrate:up\n"));
    CHECK(contains(text, "-- migrate:down\n"));
  }

  TEST_CASE("two revisions of one second still have an order") {
    const Tool tool;
    const auto first = tool.run({"revision", "first", "--scope", "shared"});
    const auto second = tool.run({"revision", "a second", "--scope", "shared"});
    CHECK(fault(second, 0) == "");
    CHECK(first.out < second.out);
    CHECK(files_in(tool.folder().path() / "migrations/shared/versions").size() == 2);
  }

  TEST_CASE("the configuration may ask for a sequence") {
    const Tool tool;
    tool.folder().write("tenantctl.toml", "numbering = \"sequence\"\n");
    CHECK(tool.run({"revision", "one", "--scope", "tenant"}).out ==
          "migrations/tenant/versions/0001_one.sql\n");
    CHECK(tool.run({"revision", "two", "--scope", "tenant"}).out ==
          "migrations/tenant/versions/0002_two.sql\n");
  }

  TEST_CASE("--no-transaction marks the sections") {
    const Tool tool;
    const auto made = tool.run({"revision", "index", "--scope", "tenant", "--no-transaction"});
    REQUIRE(fault(made, 0) == "");
    CHECK(contains(tool.folder().read(made.out.substr(0, made.out.size() - 1)),
                   "-- migrate:up transaction:false\n"));
  }

  TEST_CASE("a schema beside the scope is checked against it") {
    const Tool tool;
    CHECK(fault(tool.run({"revision", "x", "--schema", "tenant1", "--scope", "tenant"}), 0,
                {"migrations/tenant/"}) == "");
    CHECK(fault(tool.run({"revision", "x", "--schema", "shared", "--scope", "shared"}), 0,
                {"migrations/shared/"}) == "");
    CHECK(fault(tool.run({"revision", "x", "--schema", "tenant1", "--scope", "shared"}), 2,
                {"schema tenant1 is not of the shared scope", "HINT:"}) == "");
    CHECK(fault(tool.run({"revision", "x", "--schema", "shared", "--scope", "tenant"}), 2,
                {"schema shared holds the shared scope"}) == "");
  }

  TEST_CASE("without a scope or a usable message nothing is written") {
    const Tool tool;
    CHECK(fault(tool.run({"revision", "x"}), 2, {"revision needs a scope"}) == "");
    CHECK(fault(tool.run({"revision", "---", "--scope", "tenant"}), 2) == "");
    CHECK(fault(tool.run({"revision", "\u00e4\u00f6", "--scope", "tenant"}), 2,
                {"makes no name for a revision", "HINT: Use some ASCII letters"}) == "");
    CHECK_FALSE(fs::exists(tool.folder().path() / "migrations"));
  }

  TEST_CASE("a message cannot lead out of the folder") {
    const Tool tool;
    const auto made = tool.run({"revision", "../../etc/passwd", "--scope", "tenant"});
    CHECK(fault(made, 0, {"_etc_passwd.sql\n"}) == "");
    CHECK(files_in(tool.folder().path() / "migrations/tenant/versions").size() == 1);
  }
}

TEST_SUITE("cli/folder") {
  TEST_CASE("all findings are told at once, with file and line, before any connection") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    project.write("tenant/1_again.sql", "CREATE TABLE again (id int);");
    project.write_raw("tenant/0002_empty.sql", "SELECT 1;\n");
    project.write_raw("tenant/notes.sql", "-- migrate:up\nSELECT 1;\n");
    project.write_raw("tenant/0003_nul.sql", std::string("-- migrate:up\nSELECT 1;\n\0", 25));
    project.write_raw("tenant/0004_latin.sql", "-- migrate:up\nSELECT 1;\nSELECT '\xe4';\n");
    project.write("shared/0001_twice.sql", "SELECT 1;\n-- migrate:up\nSELECT 2;");
    const auto folder = project.tool.folder().path() / "migrations/tenant/versions";
    fs::create_symlink("0001_a.sql", folder / "0005_link.sql");
    REQUIRE(run_process({"mkfifo", (folder / "0006_pipe.sql").string()}).exit_code == 0);
    project.tool.set_variable("DATABASE_URL", unreachable_url);

    const std::vector<std::vector<std::string>> commands{
        {"upgrade-all"}, {"upgrade", "--schema", "x"}, {"status"},
        {"check"},       {"tenant", "create", "x"},    {"downgrade-all", "base", "--yes"}};
    for (const auto& command : commands) {
      CAPTURE(command.front());
      CHECK(fault(project.run(command), 2,
                  {"migrations/tenant/versions/1_again.sql: has the same number as",
                   "0002_empty.sql: has no line -- migrate:up", "notes.sql",
                   "0003_nul.sql:3: NUL byte", "0004_latin.sql:3: invalid UTF-8",
                   "migrations/shared/versions/0001_twice.sql:3: a second up section",
                   "0005_link.sql: is a symbolic link", "0006_pipe.sql: is a FIFO"}) == "");
    }
  }

  TEST_CASE("a file over the limit is refused, and the limit can be moved") {
    Project project;
    project.write("tenant/0001_big.sql", "SELECT '" + std::string(5'000, 'x') + "';");
    CHECK(fault(project.run({"history", "--max-file-size", "4kb"}), 2,
                {"0001_big.sql: is larger than 4096 bytes"}) == "");
    CHECK(fault(project.run({"history", "--max-file-size", "1mb"}), 0) == "");
  }

  TEST_CASE("an up section without a statement is only a warning") {
    Project project;
    project.write("tenant/0001_nothing.sql", "-- only a comment");
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    CHECK(
        fault(project.run({"history"}), 0,
              {"tenantctl: warning: migrations/tenant/versions/0001_nothing.sql:1: the up section "
               "holds no statement"}) == "");
  }

  TEST_CASE("line ends and a byte order mark change neither checksum nor what is sent") {
    Project project;
    project.write_raw("tenant/0001_a.sql", "-- migrate:up\nCREATE TABLE a (t text);\n");
    project.must({"tenant", "create", "t1"});
    project.write_raw("tenant/0001_a.sql",
                      "\xEF\xBB\xBF-- migrate:up\r\nCREATE TABLE a (t text);\r\n");
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("what may not stand in a revision is refused by place, and nothing is touched") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    const auto refused = [&](const std::string& statement) {
      project.write("tenant/0002_bad.sql", "SELECT 1;\n" + statement + ";");
      const auto run = project.run({"upgrade-all"});
      CHECK_FALSE(project.has_table("t001", "a"));
      return fault(run, 2, {"revision 0002_bad holds a statement that", "0002_bad.sql:3:1\n"});
    };
    CHECK(refused("ROLLBACK") == "");
    CHECK(refused("SAVEPOINT x") == "");
    CHECK(refused("COPY a FROM STDIN") == "");
    CHECK(refused("CREATE INDEX CONCURRENTLY i ON a (id)") == "");
    CHECK(refused("VACUUM") == "");
  }

  TEST_CASE("the example of the repository is a valid folder") {
    const Tool tool;
    const auto folder = (source_folder() / "migrations").string();
    CHECK(fault(tool.run({"history", "--migrations", folder, "--quiet"}), 0) == "");
    CHECK(fault(tool.run({"history", "--migrations", folder, "--scope", "shared"}), 0) == "");
  }
}
