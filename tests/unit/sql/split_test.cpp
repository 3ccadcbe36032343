#include "sql/split.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tenantctl::sql;

namespace {

using Strings = std::vector<std::string>;

Strings pieces_of(const std::string& text, const std::vector<Piece>& pieces) {
  Strings out;
  for (const Piece& piece : pieces) {
    out.push_back(text.substr(piece.begin, piece.end - piece.begin));
  }
  return out;
}

Strings by_tokens(const std::string& text) {
  return pieces_of(text, split_by_tokens(text, scan(text)));
}

Strings by_parser(const std::string& text) {
  const auto pieces = split_by_parser(text);
  return pieces ? pieces_of(text, *pieces) : Strings{"not parsed"};
}

}  // namespace

TEST_SUITE("sql/split") {
  TEST_CASE("both splitters find the same boundaries in nasty text") {
    const std::vector<std::string> texts{
        "select 1",
        "select 1; select 2;",
        ";;\n ; select 1;; ;select 2;;",
        "select 1 -- no line feed at the end",
        "select 1; -- only a comment behind it",
        "-- a; b\nselect 1 /* ; /* ; */ ; */; select ';', \"a;b\", $$;$$, $q$ ; $$ ; $q$",
        "select 'it''s; fine', E'\\'; ', U&'\\0027;', U&\"d;\" uescape '!', N';', B'01', X'1F'",
        "select 'a\\'; select 2; -- '",
        "select 'a'\n  'b;c'; select $1, $2",
        "-- ends at CR\rselect 1; -- and here\r select 2",
        "create function f() returns int begin atomic select 1; select case when true then 2 "
        "else case 1 when 1 then 3 end end; end; select 2",
        "create or replace procedure p() language sql begin atomic insert into a values (1); "
        "insert into b values (2); end",
        "create function g() returns int begin atomic select 1 as end; select 2; end; select 3",
        "create function f(a int) returns int return a + 1; select 2",
        "select begin atomic; select case when a then b end; select 3",
        "begin; create table a (b int); commit; end",
        "create table a (begin atomic); select 2",
        "create table a (b int default case when true then 1 end); select 2",
        "create rule r as on insert to t do also (insert into a values (';'); delete from b); "
        "select 1",
        "create function f() returns trigger language plpgsql as $f$ begin execute 'a;'; "
        "end; $f$; select 1",
        "do $$ begin perform ';'; end $$; select 1",
        "create schema s create table t (a int) create view v as select 1; select 2",
        "\n\t\f select 1 \n\t\f ; \n",
        "select '\xC3\xA9;' as \"\xC3\xA9\"; select '\xE2\x82\xAC'",
        "prepare p as select $1; execute p(1); deallocate p",
    };
    for (const std::string& text : texts) {
      CAPTURE(text);
      CHECK(by_tokens(text) == by_parser(text));
    }
  }

  TEST_CASE("pieces hold no white space around them and no semicolon") {
    CHECK(by_tokens(" a ;\n b\n;") == Strings{"a", "b"});
    CHECK(by_parser("\n select 1 ;\n-- c\nselect 2\n;") == Strings{"select 1", "-- c\nselect 2"});
  }

  TEST_CASE("comments alone are no piece") {
    CHECK(by_tokens("-- a\n; /* b */").empty());
    CHECK(by_parser("-- a\n; /* b */").empty());
    CHECK(by_tokens("").empty());
    CHECK(by_parser("").empty());
  }

  TEST_CASE("syntax newer than the parser is split by tokens") {
    const std::string text =
        "merge into t using s on t.a = s.a when matched then delete returning *; select 1";
    CHECK(by_parser(text) == Strings{"not parsed"});
    CHECK(by_tokens(text).size() == 2);
  }

  TEST_CASE("a body of a newer CREATE is one piece") {
    CHECK(by_tokens("create function f() returns int newer words begin atomic select case t.case "
                    "when 1 then 2 end; select t.end; end; select 2")
              .size() == 2);
  }

  TEST_CASE("parentheses that never close keep the rest together") {
    CHECK(by_tokens("select (1; select 2").size() == 1);
    CHECK(by_tokens("select 1); select (2").size() == 2);
  }

  TEST_CASE("nesting deeper than the parser's stack is no crash") {
    constexpr std::size_t depth = 100'000;
    const std::string text = "select " + std::string(depth, '(') + "1" + std::string(depth, ')');
    CHECK(by_parser(text) == Strings{"not parsed"});
    CHECK(by_tokens(text + "; select 2").size() == 2);
  }
}
