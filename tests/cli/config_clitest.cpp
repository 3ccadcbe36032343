#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {}  // namespace

TEST_SUITE("cli/configuration") {
  TEST_CASE("a flag beats a variable, which beats the file, which beats the default") {
    Project project;
    project.write_abc();
    const auto lock_timeout = [&](const std::vector<std::string>& flags) {
      std::vector<std::string> args{"upgrade", "--schema", "x", "--sql", "--from", "1"};
      args.insert(args.end(), flags.begin(), flags.end());
      const auto run = project.run(args);
      const std::string name = "set_config('lock_timeout', '";
      const auto begin = run.out.find(name);
      if (begin == std::string::npos)
        return fault(run, 0, {name});
      const auto from = begin + name.size();
      return run.out.substr(from, run.out.find('\'', from) - from);
    };
    CHECK(lock_timeout({}) == "1000ms");
    project.tool.folder().write("tenantctl.toml", "lock-timeout = \"3s\"\n");
    CHECK(lock_timeout({}) == "3000ms");
    project.tool.set_variable("TENANTCTL_LOCK_TIMEOUT", "2s");
    CHECK(lock_timeout({}) == "2000ms");
    CHECK(lock_timeout({"--lock-timeout", "4s"}) == "4000ms");
    project.tool.set_variable("TENANTCTL_LOCK_TIMEOUT", "");
    CHECK(lock_timeout({}) == "3000ms");
  }

  TEST_CASE("a variable of an option that the command does not have is passed over") {
    Project project;
    project.write_abc();
    project.tool.set_variable("TENANTCTL_JOBS", "many");
    project.tool.set_variable("TENANTCTL_AT", "nonsense");
    CHECK(fault(project.run({"history"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 2, {"--jobs: Value many not in range"}) == "");
  }

  TEST_CASE("lists and switches may come from variables") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.tool.set_variable("TENANTCTL_SCHEMA", "t002");
    project.tool.set_variable("TENANTCTL_YES", "true");
    CHECK(fault(project.run({"downgrade", "base"}), 0, {"t002: applied, at base"}) == "");
    CHECK(fault(project.run({"downgrade", "base", "--schema", "t001"}), 0,
                {"t001: applied, at base"}) == "");
    CHECK(project.revision_of("t001") == "base");
  }

  TEST_CASE("DATABASE_URL is the last to be asked for a connection") {
    Project project;
    const auto works = [&](const std::vector<std::string>& flags = {}) {
      std::vector<std::string> args{"status"};
      args.insert(args.end(), flags.begin(), flags.end());
      return project.run(args).exit_code == 0;
    };
    const std::string good = project.database.conninfo();
    project.tool.set_variable("DATABASE_URL", good);
    CHECK(works());
    project.tool.folder().write("tenantctl.toml",
                                std::string("database-url = \"") + unreachable_url + "\"\n");
    CHECK_FALSE(works());
    project.tool.set_variable("TENANTCTL_DATABASE_URL", good);
    CHECK(works());
    CHECK_FALSE(works({"--database-url", unreachable_url}));
    project.tool.set_variable("TENANTCTL_DATABASE_URL", unreachable_url);
    CHECK(works({"--database-url", good}));
  }

  TEST_CASE("without any URL the PG* variables count") {
    Project project;
    project.tool.set_variable("DATABASE_URL", std::nullopt);
    project.tool.set_variable("PGDATABASE", project.database.name());
    project.must({"tenant", "create", "acme"});
    CHECK(project.has_schema("acme"));
  }

  TEST_CASE("the file is found by walking up, and its paths count from it") {
    Project project;
    project.write_abc();
    project.tool.folder().write("tenantctl.toml", "migrations = \"migrations\"\n");
    project.tool.folder().write("deep/below/x", "");
    const auto below = (project.tool.folder().path() / "deep/below").string();
    const auto run = run_process({"env", "-C", below, tool_binary().string(), "history"});
    CHECK(fault(run, 0, {"0001  a\n"}) == "");
  }

  TEST_CASE("another file can be named, by a flag or a variable") {
    Project project;
    project.write("tenant/0001_a.sql", "SELECT 1;");
    project.tool.folder().write("other.toml", "output = \"json\"\n");
    CHECK(fault(project.run({"--config", "other.toml", "history"}), 0, {"format_version"}) == "");
    CHECK(fault(project.run({"history", "--config", "other.toml"}), 0, {"format_version"}) == "");
    project.tool.set_variable("TENANTCTL_CONFIG", "other.toml");
    CHECK(fault(project.run({"history"}), 0, {"format_version"}) == "");
    CHECK(fault(project.run({"history", "--config", "nope.toml"}), 2, {"nope.toml"}) == "");
  }

  TEST_CASE("an unknown key is an error that names the nearest") {
    Project project;
    project.tool.folder().write("tenantctl.toml", "lock-timeut = \"1s\"\n");
    CHECK(fault(project.run({"history"}), 2,
                {"unknown key \"lock-timeut\"", "HINT: Did you mean lock-timeout?"}) == "");
    project.tool.folder().write("tenantctl.toml", "zzzzzzzzzzz = 1\n");
    CHECK(fault(project.run({"history"}), 2, {"unknown key \"zzzzzzzzzzz\"", "HINT: "}) == "");
    project.tool.folder().write("tenantctl.toml", "[upgrade]\njobs = 1\n");
    CHECK(project.run({"history"}).exit_code == 2);
    project.tool.folder().write("tenantctl.toml", "jobs = \n = 3\n");
    CHECK(project.run({"history"}).exit_code == 2);
  }

  TEST_CASE("a key of another command is passed over, a bad value is not") {
    Project project;
    project.tool.folder().write("tenantctl.toml", "jobs = 3\nlock-timeout = \"soon\"\n");
    CHECK(fault(project.run({"history"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 2, {"lock-timeout"}) == "");
  }

  TEST_CASE("lists and switches may stand in the file") {
    Project project;
    project.database.execute(
        "CREATE TABLE public.outside (id int); CREATE SCHEMA more;"
        "CREATE TABLE more.further (id int)");
    project.write("tenant/0001_a.sql",
                  "INSERT INTO outside VALUES (1);\nINSERT INTO further VALUES (1);");
    project.tool.folder().write("tenantctl.toml",
                                "search-path-extra = [\"public\", \"more\"]\nquiet = true\n");
    CHECK(fault(project.run({"tenant", "create", "acme"}), 0) == "");
  }

  TEST_CASE("durations have units") {
    Project project;
    project.write_abc();
    const auto shown = [&](const std::string& duration) {
      return project.run(
          {"upgrade", "--schema", "x", "--sql", "--from", "1", "--statement-timeout", duration});
    };
    const std::string name = "set_config('statement_timeout', ";
    CHECK(fault(shown("250ms"), 0, {name + "'250ms'"}) == "");
    CHECK(fault(shown("250"), 0, {name + "'250ms'"}) == "");
    CHECK(fault(shown("2s"), 0, {name + "'2000ms'"}) == "");
    CHECK(fault(shown("3min"), 0, {name + "'180000ms'"}) == "");
    CHECK(fault(shown("1 h"), 0, {name + "'3600000ms'"}) == "");
    for (const auto* const bad : {"2 parsecs", "-1s", "soon", "99999999999999h"}) {
      CAPTURE(bad);
      CHECK(fault(shown(bad), 2, {"--statement-timeout"}) == "");
    }
  }
}

TEST_SUITE("cli/passwords") {
  TEST_CASE("a password stands in no output, no file, no catalog and no log") {
    Project project;
    const std::string secret = "s3cr3t-hunter2";
    const auto& role = project.database.second_role();
    project.database.execute("ALTER ROLE " + role + " PASSWORD '" + secret + "'");
    project.database.execute("GRANT CREATE ON DATABASE " + project.database.name() + " TO " + role);
    auto url = project.database.conninfo_as(role);
    url.replace(url.find(role + ":" + role), 2 * role.size() + 1, role + ":" + secret);
    REQUIRE(contains(url, secret));
    project.tool.set_variable("DATABASE_URL", url);
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    project.write_abc();

    std::string all;
    const auto take = [&](const std::vector<std::string>& args) {
      const auto run = project.run(args);
      all += run.out + run.err;
    };
    take({"tenant", "create", "acme"});
    CHECK(project.revision_of("acme") == "0003_c");
    take({"upgrade-all", "--database-url", url, "--direct-url", url});
    take({"upgrade-all", "--database-url", url, "--output", "json", "-n"});
    take({"status", "--database-url", url, "--jobs", "3"});
    take({"upgrade-all", "--help", "--database-url", url});
    take({"upgrade", "--sql", "--schema", "acme"});
    project.tool.folder().write("tenantctl.toml", "database-url = \"" + url + "\"\nnope = 1\n");
    take({"status"});
    project.tool.folder().write("tenantctl.toml", "database-url = \"" + url + "\"\n");
    take({"status"});
    take({"--help-all"});
    CHECK_FALSE(contains(all, secret));

    const auto catalog =
        project.database.value("SELECT string_agg(v::text, '|') FROM acme.tenantctl_version v");
    CHECK_FALSE(contains(catalog, secret));
    const char* const log = std::getenv("PGLOGFILE");
    if (log != nullptr) {
      // The ALTER ROLE above is not logged by default; what the tool sends must not be either.
      CHECK_FALSE(contains(text_of(log), secret));
    }
  }

  TEST_CASE("a URL that is wrong is told without its password") {
    Project project;
    const std::string secret = "s3cr3t-hunter2";
    const std::vector<std::string> urls{
        "postgresql://me:" + secret + "@127.0.0.1:1/x",
        "postgresql://me:" + secret + "@127.0.0.1:port/x",
        "postgresql://me:" + secret + "@[::1/x",
        "postgresql://me:" + secret + "%zz@127.0.0.1:1/x",
        "postgresql://me:x/" + secret + "@127.0.0.1/x",
        "postgresql://me:#" + secret + "@127.0.0.1:1/x?nope=1",
        "postgresql://127.0.0.1:1/x?user=me&password=" + secret + "&nope=1",
        "postgresql://127.0.0.1:1/x?password=" + secret + "%zz",
        "host=127.0.0.1 port=1 password=" + secret,
        "host=127.0.0.1 port=1 password='" + secret,
        "host=127.0.0.1 port=1 password=x " + secret};
    for (const auto& url : urls) {
      CAPTURE(url);
      for (const auto* const format : {"text", "json"}) {
        const auto run = project.run({"status", "--database-url", url, "--output", format});
        CHECK(run.exit_code != 0);
        CHECK(run.exit_code != 70);
        CHECK_FALSE(contains(run.out + run.err, secret));
      }
      project.tool.set_variable("DATABASE_URL", url);
      const auto run = project.run({"status"});
      CHECK_FALSE(contains(run.out + run.err, secret));
    }
  }

  // libpq takes both for something else, and repeats it in its own message.
  TEST_CASE("a password file that others may read is not used, and the reason is told") {
    Project project;
    const auto path = project.tool.folder().path() / ".pgpass";
    std::ofstream(path) << "*:*:*:*:s3cr3t-hunter2\n";
    std::filesystem::permissions(path, std::filesystem::perms(0644));
    project.tool.set_variable("PGPASSFILE", path.string());
    const auto run = project.run({"status"});
    CHECK(fault(run, 0, {"password file", "group or world access"}) == "");
    CHECK_FALSE(contains(run.out + run.err, "s3cr3t"));
  }

  TEST_CASE("a password is not taken for a host or a database and repeated") {
    const Project project;
    const std::string secret = "s3cr3t-hunter2";
    for (const auto& url :
         {"postgresql://me:x@" + secret + "@127.0.0.1:1/x", "me:" + secret + "@127.0.0.1"}) {
      CAPTURE(url);
      const auto run = project.run({"status", "--database-url", url});
      CHECK(run.exit_code != 0);
      CHECK_FALSE(contains(run.out + run.err, secret));
    }
  }

  TEST_CASE("an unknown word that holds a password is not repeated") {
    const Tool tool;
    const std::string url = "postgresql://me:s3cr3t-hunter2@127.0.0.1/x";
    CHECK_FALSE(contains(tool.run({"status", "--database-ulr=" + url}).err, "s3cr3t"));
    CHECK_FALSE(contains(tool.run({"status", "--database-ulr", url}).err, "s3cr3t"));
    CHECK_FALSE(contains(tool.run({"status", url}).err, "s3cr3t"));
    CHECK_FALSE(contains(tool.run({url}).err, "s3cr3t"));
  }
}
