#include "cli/options.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

using namespace tenantctl;
using namespace tenantctl::cli;
using namespace std::chrono_literals;

namespace {

/// A command with every shared option, and what an argument list makes of the settings.
struct Command {
  Command() {
    describe_output(app, settings);
    describe_folder(app, settings);
    describe_connection(app, settings);
    describe_schemas(app, settings);
    describe_selection(app, settings);
    describe_run(app, settings);
    describe_plan(app, settings);
  }

  const Settings& parse(std::vector<std::string> arguments) {
    // CLI11 takes them from the back.
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
    return settings;
  }

  CLI::App app{"test"};
  Settings settings;
};

Settings parsed(const std::vector<std::string>& arguments) { return Command().parse(arguments); }

/// A variable of the environment for as long as a test needs it.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

}  // namespace

TEST_SUITE("cli/options") {
  TEST_CASE("each option has a variable named after it") {
    CHECK(variable_of("--lock-timeout") == "TENANTCTL_LOCK_TIMEOUT");
    CHECK(variable_of("-j,--jobs") == "TENANTCTL_JOBS");
    CHECK(variable_of("jobs") == "TENANTCTL_JOBS");
    Command command;
    for (const CLI::Option* option : command.app.get_options()) {
      if (option->get_lnames().empty() || option->get_lnames().front() == "help")
        continue;
      CAPTURE(option->get_name());
      const std::string name = option->get_lnames().front();
      // What `tenant create` gives a tenant must not select tenants as well.
      const bool is_given = name == "tier" || name == "isolation";
      CHECK(option->get_envname() == variable_of(is_given ? "--only-" + name : "--" + name));
    }
  }

  TEST_CASE("durations take units; a bare number is milliseconds") {
    CHECK(parsed({"--lock-timeout", "2s"}).lock_timeout == 2s);
    CHECK(parsed({"--lock-timeout", "1500"}).lock_timeout == 1500ms);
    CHECK(parsed({"--lock-timeout", "250ms"}).lock_timeout == 250ms);
    CHECK(parsed({"--lock-wait", "2MIN"}).lock_wait == 2min);
    CHECK(parsed({"--statement-timeout", "1h"}).statement_timeout == 1h);
    CHECK(parsed({"--statement-timeout", "7d"}).statement_timeout == 168h);
    CHECK(parsed({}).lock_timeout == 1s);
  }

  TEST_CASE("what is no duration is refused") {
    for (const std::string text : {"x", "-1s", "2w", "", "1.5s", "99999999999999999999h"}) {
      CAPTURE(text);
      CHECK_THROWS_AS(parsed({"--lock-timeout", text}), CLI::ParseError);
    }
  }

  TEST_CASE("a repeatable option takes one value each time") {
    const Settings settings = parsed({"-s", "a", "--schema", "b", "--tenants", "x*"});
    CHECK(settings.schemas == std::vector<std::string>{"a", "b"});
    CHECK(settings.tenants == std::vector<std::string>{"x*"});
    CHECK_THROWS_AS(parsed({"--schema", "a", "b"}), CLI::ParseError);
  }

  TEST_CASE("numbers have bounds") {
    CHECK(parsed({"-j", "64"}).jobs == 64);
    CHECK_THROWS_AS(parsed({"-j", "0"}), CLI::ParseError);
    CHECK_THROWS_AS(parsed({"-j", "65"}), CLI::ParseError);
    CHECK_THROWS_AS(parsed({"--depth", "129"}), CLI::ParseError);
    CHECK_THROWS_AS(parsed({"--tries", "0"}), CLI::ParseError);
  }

  TEST_CASE("the output's form is a word") {
    CHECK(parsed({"-o", "json"}).output == Format::json);
    CHECK(parsed({"--output", "TEXT"}).output == Format::text);
    CHECK_THROWS_AS(parsed({"-o", "xml"}), CLI::ParseError);
  }

  TEST_CASE("sizes take units") {
    CHECK(parsed({"--max-file-size", "2mb"}).max_file_size == 2U << 20U);
    CHECK(parsed({"--max-file-size", "10"}).max_file_size == 10);
  }

  TEST_CASE("a flag beats the variable, the variable beats the default") {
    const Variable lock("TENANTCTL_LOCK_TIMEOUT", "3s");
    const Variable jobs("TENANTCTL_JOBS", "7");
    CHECK(parsed({}).lock_timeout == 3s);
    CHECK(parsed({}).jobs == 7);
    CHECK(parsed({"-j", "2"}).jobs == 2);
  }

  TEST_CASE("an example stands at the end of the help") {
    CLI::App app{"test"};
    add_example(app, "tenantctl test");
    CHECK(app.help().find("Example:\n  tenantctl test") != std::string::npos);
  }
}
