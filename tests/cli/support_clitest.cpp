#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/database.h"
#include "support/json_schema.h"
#include "support/process.h"
#include "support/temporary_folder.h"
#include "support/tenantctl.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// Dead or a zombie, soon: SIGKILL takes a moment, and an orphan may not be reaped in a container.
bool is_dying(const std::string& pid) {
  for (int tries = 0; tries < 500; ++tries) {
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string text;
    if (!std::getline(stat, text) || text.find(") Z ") != std::string::npos) {
      return true;
    }
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_SUITE("support/process") {
  TEST_CASE("exit code, output and error are told apart") {
    const auto finished = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"});
    CHECK(finished.exit_code == 3);
    CHECK(finished.signal == 0);
    CHECK(finished.out == "out\n");
    CHECK(finished.err == "err\n");
    CHECK_FALSE(finished.timed_out);
  }

  TEST_CASE("arguments arrive as they are, without a shell") {
    const auto finished = run_process({"printf", "%s|", "a b", "", "$HOME", "*"});
    CHECK(finished.out == "a b||$HOME|*|");
  }

  TEST_CASE("more input and output than a pipe holds go through") {
    const std::string text(1'000'000, 'x');
    const auto finished = run_process({"tee", "/dev/stderr"}, {.input = text});
    CHECK(finished.out == text);
    CHECK(finished.err == text);
  }

  TEST_CASE("a program that does not read its input is no error") {
    const std::string text(1'000'000, 'x');
    CHECK(run_process({"true"}, {.input = text}).exit_code == 0);
  }

  TEST_CASE("folder and environment are the ones asked for") {
    const TemporaryFolder folder;
    const ProcessOptions options{
        .folder = folder.path(),
        .environment = {{"COLOUR", "blue"}, {"HOME", std::nullopt}},
    };
    const auto finished = run_process({"sh", "-c", "pwd; echo $COLOUR-${HOME-none}"}, options);
    CHECK(finished.out == folder.path().string() + "\nblue-none\n");
  }

  TEST_CASE("a clean environment holds nothing else") {
    const ProcessOptions options{.environment = {{"A", "1"}}, .clean_environment = true};
    CHECK(run_process({"env"}, options).out == "A=1\n");
  }

  TEST_CASE("a program that cannot be run is named") {
    CHECK_THROWS_AS(run_process({"/no/such/program"}), std::system_error);
  }

  TEST_CASE("the signal that ended a program is told") {
    const auto finished = run_process({"sh", "-c", "kill -TERM $$"});
    CHECK(finished.exit_code == -1);
    CHECK(finished.signal == SIGTERM);
  }

  TEST_CASE("a program that takes too long is killed with its children") {
    const auto finished =
        run_process({"sh", "-c", "sleep 60 & printf $!; sleep 60"}, {.timeout = 200ms});
    CHECK(finished.timed_out);
    CHECK(finished.signal == SIGKILL);
    REQUIRE_FALSE(finished.out.empty());
    CHECK(is_dying(finished.out));
  }

  TEST_CASE("endless output does not outlast the deadline") {
    CHECK(run_process({"yes"}, {.timeout = 100ms}).timed_out);
  }

  TEST_CASE("a running program can be met in the middle and signalled") {
    RunningProcess process(
        {"sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"});
    REQUIRE(process.shows("ready"));
    CHECK_FALSE(process.shows("never", 50ms));
    process.kill(SIGINT);
    const auto finished = process.wait();
    CHECK(finished.exit_code == 5);
    CHECK(finished.out == "ready\ncaught\n");
  }

  TEST_CASE("a running program ends with its object") {
    std::string pid;
    {
      RunningProcess process({"sh", "-c", "sleep 60 & echo $!; sleep 60"});
      REQUIRE(process.shows("\n"));
      pid = std::to_string(process.pid());
      CHECK(::kill(process.pid(), 0) == 0);
    }
    CHECK(is_dying(pid));
  }
}

TEST_SUITE("support/terminal") {
  TEST_CASE("all three streams are a terminal of 100 columns") {
    const auto finished =
        run_in_terminal({"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; exit 4"});
    CHECK(finished.exit_code == 4);
    CHECK(finished.out == "30 100\r\n");
  }

  TEST_CASE("prompts are answered in their order") {
    const auto finished = run_in_terminal(
        {"sh", "-c", "printf 'Sure? '; read a; printf 'Really? '; read b; echo got $a-$b"}, {},
        {{"Sure? ", "yes\n"}, {"Really? ", "no\n"}});
    CHECK(finished.exit_code == 0);
    CHECK(finished.out.find("got yes-no\r\n") != std::string::npos);
  }

  TEST_CASE("a prompt without an answer runs into the timeout") {
    const auto finished =
        run_in_terminal({"sh", "-c", "printf 'Sure? '; read a"}, {.timeout = 200ms});
    CHECK(finished.timed_out);
    CHECK(finished.out == "Sure? ");
  }

  TEST_CASE("an interrupt typed on the keyboard reaches the program") {
    const auto finished =
        run_in_terminal({"sh", "-c", "echo ready; exec sleep 60"}, {}, {{"ready", "\x03"}});
    CHECK(finished.signal == SIGINT);
  }
}

TEST_SUITE("support/temporary_folder") {
  TEST_CASE("a folder keeps its files until its end") {
    std::filesystem::path path;
    {
      const TemporaryFolder folder;
      path = folder.path();
      CHECK(folder.write("a/b.txt", "text\n") == path / "a/b.txt");
      CHECK(folder.read("a/b.txt") == "text\n");
      CHECK_THROWS_AS(folder.read("missing"), std::runtime_error);
    }
    CHECK_FALSE(std::filesystem::exists(path));
  }
}

TEST_SUITE("support/json_schema") {
  const char* const tenants_schema = R"({
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["tenants"],
    "properties": {"tenants": {"type": "array", "prefixItems": [{"type": "string"}]}}
  })";

  TEST_CASE("a document that fits has no errors") {
    const TemporaryFolder folder;
    const auto schema = folder.write("schema.json", tenants_schema);
    CHECK(schema_errors(R"({"tenants": ["ä", 2]})", schema) == "");
  }

  TEST_CASE("each fault is named with its place") {
    const TemporaryFolder folder;
    const auto schema = folder.write("schema.json", tenants_schema);
    CHECK(schema_errors(R"({"tenants": [1]})", schema) ==
          "$.tenants[0]: 1 is not of type 'string'\n");
    CHECK(schema_errors("{}", schema) == "$: 'tenants' is a required property\n");
    CHECK(schema_errors("{} {}", schema).find("not JSON: ") == 0);
    CHECK(schema_errors(R"({"tenants": [], "tenants": []})", schema) ==
          "not JSON: tenants stands twice in an object\n");
  }

  TEST_CASE("a schema that is none is an error of the test") {
    const TemporaryFolder folder;
    const auto schema = folder.write("schema.json", R"({"type": "strng"})");
    CHECK_THROWS_AS(schema_errors("{}", schema), std::runtime_error);
  }
}

TEST_SUITE("support/database") {
  TEST_CASE("a database is empty, answers, and is dropped") {
    TestDatabase other;
    std::string name;
    {
      TestDatabase database;
      name = database.name();
      database.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL)");
      CHECK(database.value("SELECT count(*) FROM t") == "2");
      CHECK(database.rows("SELECT * FROM t ORDER BY a") ==
            std::vector<std::vector<std::string>>{{"1", "x"}, {"2", ""}});
      CHECK_THROWS_WITH_AS(database.execute("SELECT nonsense"),
                           doctest::Contains("column \"nonsense\" does not exist"),
                           std::runtime_error);
      CHECK_THROWS_AS(database.value("SELECT 1 WHERE false"), std::runtime_error);
    }
    CHECK(other.value("SELECT count(*) FROM pg_database WHERE datname = '" + name + "'") == "0");
  }

  TEST_CASE("others connect by conninfo, as the second role too") {
    TestDatabase database;
    const auto role = database.second_role();
    const auto own =
        run_process({"psql", "-XAtc", "SELECT current_database()", database.conninfo()});
    CHECK(own.out == database.name() + "\n");
    const auto second =
        run_process({"psql", "-XAtc", "SELECT current_user", database.conninfo_as(role)});
    CHECK(second.out == role + "\n");
  }
}

TEST_SUITE("support/tenantctl") {
  TEST_CASE("the tool runs in its folder with a clean environment") {
    Tool tool("postgresql:///db", "/usr/bin/env");
    tool.set_variable("TENANTCTL_JOBS", "3");
    const auto finished = tool.run({"sh", "-c", "pwd; env"});
    CHECK(finished.out.find(tool.folder().path().string() + "\n") == 0);
    CHECK(finished.out.find("\nHOME=" + tool.folder().path().string()) != std::string::npos);
    CHECK(finished.out.find("\nDATABASE_URL=postgresql:///db\n") != std::string::npos);
    CHECK(finished.out.find("\nTENANTCTL_JOBS=3\n") != std::string::npos);
    CHECK(finished.out.find("\nPGDATABASE=") == std::string::npos);
    CHECK(finished.out.find("\nTENANTCTL_BIN=") == std::string::npos);
  }

  TEST_CASE("input, terminal and background reach the tool") {
    const Tool tool({}, "/usr/bin/env");
    CHECK(tool.run({"cat"}, "text").out == "text");
    CHECK(tool.run_in_terminal({"sh", "-c", "test -t 2 && echo $TERM"}).out ==
          "xterm-256color\r\n");
    CHECK(tool.start({"sh", "-c", "exit 7"}).wait().exit_code == 7);
  }
}
