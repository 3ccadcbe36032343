#include "sql/script.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace tenantctl::sql;

namespace {

using Strings = std::vector<std::string>;

Strings texts(const Script& script) {
  Strings out;
  for (const Statement& statement : script.statements()) {
    out.push_back(script.rendered(statement, {}));
  }
  return out;
}

const Variables variables{{"schema", "tenant_1"}, {"tenant", "O'Neil"}, {"path", "a\\b"}};

std::string rendered(const std::string& text) {
  const auto script = Script::read(text);
  REQUIRE(script.statements().size() == 1);
  return script.rendered(script.statements().front(), variables);
}

}  // namespace

TEST_SUITE("sql/script") {
  TEST_CASE("a script is its statements in order") {
    const auto script = Script::read("CREATE TABLE a ();\n\n-- second\nSELECT 2;\n-- end\n");
    CHECK(script.parsed());
    CHECK(texts(script) == Strings{"CREATE TABLE a ()", "-- second\nSELECT 2"});
  }

  TEST_CASE("a leading comment belongs to the statement, which starts after it") {
    const auto script = Script::read("SELECT 1;\n/* a */ -- b\n  SELECT 2");
    const Statement& statement = script.statements().at(1);
    CHECK(script.text().substr(statement.begin, 7) == "/* a */");
    CHECK(script.text().substr(statement.first_token) == "SELECT 2");
  }

  TEST_CASE("text without a statement is an empty script") {
    CHECK(Script::read("").statements().empty());
    CHECK(Script::read("\n-- nothing\n;").statements().empty());
  }

  TEST_CASE("newer syntax is split all the same, and said to be unparsed") {
    const auto script = Script::read(
        "SELECT * FROM JSON_TABLE(jsonb '[1;2]', '$[*]' COLUMNS (a int PATH '$')); SELECT 1");
    CHECK_FALSE(script.parsed());
    CHECK(script.statements().size() == 2);
  }

  TEST_CASE("a vertical tab, white space to newer servers only, is left to the server") {
    const auto script = Script::read("SELECT 1;\v\n; SELECT\v2");
    CHECK_FALSE(script.parsed());
    CHECK(texts(script) == Strings{"SELECT 1", "\v", "SELECT\v2"});
  }

  TEST_CASE("newer numbers are sent as they are written") {
    const auto script = Script::read("SELECT 0x1F, 1_000; SELECT 2");
    CHECK(script.parsed());
    CHECK(texts(script) == Strings{"SELECT 0x1F, 1_000", "SELECT 2"});
  }

  TEST_CASE("text that no server can read is refused") {
    CHECK_THROWS_WITH_AS(Script::read("SELECT 1; SELECT 'a"), "unterminated quoted string",
                         SyntaxError);
  }

  TEST_CASE("a script can be copied and keeps its text") {
    const auto copy = [] {
      const auto original = Script::read("SELECT 1; SELECT 2");
      return original;
    }();
    CHECK(texts(copy) == Strings{"SELECT 1", "SELECT 2"});
  }

  TEST_CASE("placeholders are replaced as their notation says") {
    CHECK(rendered("SELECT :'tenant' FROM :\"schema\".t") ==
          "SELECT 'O''Neil' FROM \"tenant_1\".t");
    CHECK(rendered("SELECT :'path'") == "SELECT E'a\\\\b'");
  }

  TEST_CASE("an unknown placeholder stays") {
    CHECK(rendered("SELECT a[1:\"x\"], :'tenant'") == "SELECT a[1:\"x\"], 'O''Neil'");
  }

  TEST_CASE("strings and comments keep what looks like a placeholder") {
    CHECK(rendered("SELECT ':\"schema\"' /* :\"schema\" */") ==
          "SELECT ':\"schema\"' /* :\"schema\" */");
  }

  TEST_CASE("a replaced placeholder never melts into what stands before it") {
    CHECK(rendered("SELECT 'a':'tenant'") == "SELECT 'a' 'O''Neil'");
    CHECK(rendered("SELECT E:'tenant'") == "SELECT E 'O''Neil'");
    CHECK(rendered("SELECT :\"schema\":\"schema\"") == "SELECT \"tenant_1\" \"tenant_1\"");
    CHECK(rendered("SELECT x&:'tenant'") == "SELECT x& 'O''Neil'");
  }

  TEST_CASE("a placeholder that comes first is replaced") {
    const auto script = Script::read("SELECT 1; :\"schema\" x");
    CHECK(script.rendered(script.statements().at(1), variables) == "\"tenant_1\" x");
  }

  TEST_CASE("a semicolon in a value moves no boundary") {
    const auto script = Script::read("SELECT :'v'; SELECT 2");
    REQUIRE(script.statements().size() == 2);
    CHECK(script.rendered(script.statements().front(), {{"v", "a;'b"}}) == "SELECT 'a;''b'");
  }

  TEST_CASE("a byte of what was sent leads back to the text") {
    const auto script = Script::read("SELECT 0;\nSELECT :\"schema\".t, :'no', :'tenant', x");
    const Statement& statement = script.statements().at(1);
    const std::string sent = script.rendered(statement, variables);
    const auto source = [&](std::string_view needle) {
      return script.source_byte(statement, variables, sent.find(needle));
    };
    CHECK(source("SELECT") == statement.begin);
    CHECK(source("tenant_1") == script.text().find(":\"schema\""));
    CHECK(source(".t") == script.text().find(".t"));
    CHECK(source("'no'") == script.text().find("'no'"));
    CHECK(source("Neil") == script.text().find(":'tenant'"));
    CHECK(source(", x") == script.text().find(", x"));
  }

  TEST_CASE("a byte past the end of what was sent is the statement's end") {
    const auto script = Script::read("SELECT :'tenant'; SELECT 2");
    const Statement& statement = script.statements().front();
    CHECK(script.source_byte(statement, variables, 1000) == statement.end);
    CHECK(script.source_byte(statement, {}, 1000) == statement.end);
  }

  TEST_CASE("an outer BEGIN and COMMIT are dropped") {
    for (const std::string text :
         {"BEGIN; SELECT 1; COMMIT;", "START TRANSACTION; SELECT 1; END",
          "-- a\nbegin work;\nSELECT 1;\n-- b\ncommit transaction;\n-- c\n",
          "BEGIN TRANSACTION; SELECT 1; COMMIT AND NO CHAIN"}) {
      CAPTURE(text);
      auto script = Script::read(text);
      CHECK(script.drop_outer_transaction());
      CHECK(texts(script) == Strings{"SELECT 1"});
    }
  }

  TEST_CASE("what may lie within the outer pair, bodies included, is left alone") {
    auto script = Script::read(
        "BEGIN; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SAVEPOINT a; COMMIT");
    CHECK(script.drop_outer_transaction());
    CHECK(script.statements().size() == 2);
  }

  TEST_CASE("anything but one outer pair stays") {
    for (const std::string text :
         {"BEGIN", "BEGIN; SELECT 1", "SELECT 1; COMMIT", "SELECT 0; BEGIN; COMMIT",
          "BEGIN; COMMIT; SELECT 1", "BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT",
          "BEGIN; BEGIN; COMMIT", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT",
          "BEGIN; SELECT 1; COMMIT AND CHAIN", "BEGIN; SELECT 1; ROLLBACK", "", "COMMIT; BEGIN"}) {
      CAPTURE(text);
      auto script = Script::read(text);
      const auto before = texts(script);
      CHECK_FALSE(script.drop_outer_transaction());
      CHECK(texts(script) == before);
    }
  }

  TEST_CASE("a script of many statements is read in one go") {
    std::string text;
    for (int i = 0; i < 20'000; ++i) {
      text += "INSERT INTO t VALUES (:'tenant', ';');\n";
    }
    CHECK(Script::read(text).statements().size() == 20'000);
  }
}
