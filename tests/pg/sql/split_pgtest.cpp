#include <doctest/doctest.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sql/scan.h"
#include "sql/script.h"
#include "sql/split.h"
#include "support/database.h"

using namespace tenantctl;
using namespace tenantctl::testing;
namespace fs = std::filesystem;

namespace {

const sql::Variables variables{{"schema", "a"}, {"tenant", "a"}, {"shared_schema", "b"}};

/// What the server makes of a text as one Parse message. The session is in a failed transaction:
/// the server parses and counts, then refuses (25P02), so that nothing is ever analysed or run.
class Judge {
 public:
  enum class Verdict { one, several, wrong };

  explicit Judge(const TestDatabase& database)
      : connection_(PQconnectdb(database.conninfo().c_str()), &PQfinish) {
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    for (const char* sql :
         {"SET exit_on_error = off", "SET idle_in_transaction_session_timeout = 0",
          "SET statement_timeout = 0", "SET standard_conforming_strings = on",
          "SET client_encoding = 'UTF8'"}) {
      PQclear(PQexec(connection_.get(), sql));
    }
    PQclear(PQexec(connection_.get(), "BEGIN"));
    PQclear(PQexec(connection_.get(), "SELECT 1/0"));
    REQUIRE(PQtransactionStatus(connection_.get()) == PQTRANS_INERROR);
  }

  int server_version() const { return PQserverVersion(connection_.get()); }

  Verdict of(const std::string& text) const {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(
        PQprepare(connection_.get(), "", text.c_str(), 0, nullptr), &PQclear);
    if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) {
      return Verdict::one;  // COMMIT and its like are allowed there
    }
    const std::string_view code = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    const std::string_view message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
    if (code == "25P02") {
      return Verdict::one;
    }
    return message.find("multiple commands") != std::string_view::npos ? Verdict::several
                                                                       : Verdict::wrong;
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

struct Count {
  std::size_t files = 0;
  std::size_t unknown = 0;  ///< to this server: psql's own, or newer syntax
  std::size_t pieces = 0;
};

std::string rendered(const std::string& text) {
  const sql::Script script = sql::Script::read(text);
  std::string all;
  for (const sql::Statement& statement : script.statements()) {
    all += script.rendered(statement, variables) + "\n;\n";  // it may end in a comment
  }
  return all;
}

/// Every piece is one command of the server's, whoever cut it, and all together are so many.
void check_pieces(const Judge& judge, const std::string& text, Count& count) {
  ++count.files;
  const sql::Script script = sql::Script::read(text);
  const auto& statements = script.statements();
  const Judge::Verdict whole = judge.of(rendered(text));
  if (whole == Judge::Verdict::wrong) {
    ++count.unknown;
    return;
  }
  CHECK((whole == Judge::Verdict::several) == (statements.size() > 1));
  for (const sql::Statement& statement : statements) {
    const std::string piece = script.rendered(statement, variables);
    CAPTURE(piece);
    CHECK(judge.of(piece) == Judge::Verdict::one);
    ++count.pieces;
  }
  const auto by_tokens = sql::split_by_tokens(text, sql::scan(text));
  REQUIRE(by_tokens.size() == statements.size());
  for (std::size_t i = 0; i < by_tokens.size(); ++i) {
    CHECK(by_tokens[i] == sql::Piece{statements[i].begin, statements[i].end});
  }
}

fs::path shared_folder() {
  const char* folder = std::getenv("TENANTCTL_SHARED");
  return folder != nullptr ? fs::path(folder)
                           : fs::path(__FILE__).parent_path() / "../../../.." / "shared";
}

// Each with the number of its commands, and the server version that first knows its syntax.
struct Nasty {
  std::string text;
  std::size_t commands;
  int since = 0;
};

std::vector<Nasty> nasty_cases() {
  std::string longest = "SELECT 1";
  for (int i = 0; i < 20'000; ++i) {
    longest += " + /* ; */ 1";
  }
  return {
      {"", 0},
      {";;;", 0},
      {"-- only a comment", 0},
      {"/* only; one */ ; -- and; another\n", 0},
      {"SELECT 1", 1},
      {"SELECT 1;SELECT 2", 2},
      {"SELECT 1;;;SELECT 2;;", 2},
      {"SELECT $a$ ; $b$ ; $b$ ; $a$; SELECT 2", 2},
      {"SELECT $$;$$, $_$;$$;$_$; SELECT $é$;$é$", 2},
      {"SELECT '$$;' ; SELECT '$$;'", 2},
      {"SELECT 1 AS a$b$, 2 AS c$b$; SELECT 3", 2},
      {"SELECT 1/* /* ; */ ; */; SELECT 2", 2},
      {"SELECT 1 -- ; it's\n; SELECT 2", 2},
      {"SELECT 1 -- ; a lone CR ends it\r; SELECT 2", 2},
      {"SELECT 1\r\n;\r\nSELECT 2\r\n", 2},
      {"SELECT 'a''; b'; SELECT 2", 2},
      {"SELECT 'a\\'; SELECT 2", 2},
      {"SELECT E'a\\'; b'; SELECT 2", 2},
      {"SELECT e'\\\\'; SELECT 2", 2},
      {"SELECT U&'d\\0061t; a' ; SELECT U&\"d!0061;\" UESCAPE '!' FROM t", 2},
      {"SELECT B'01', X'1F', N'a;b'; SELECT 2", 2},
      {"SELECT 'a'\n  'b;c'; SELECT 2", 2},
      {"SELECT \"a;\"\"b;\" FROM \"t;\"; SELECT 2", 2},
      {"SELECT 2 @-- ; no operator\n 3; SELECT 2", 2},
      {"SELECT 2 */* ; */ 3; SELECT 2", 2},
      {"SELECT a->>'x;', a #>> '{;}', a @> ';', a ?| b FROM t; SELECT 2", 2},
      {"SELECT 1::int, a[1:2], ARRAY[';'] FROM t; SELECT 2", 2},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true "
       "THEN 1 ELSE CASE 2 WHEN 2 THEN 3 END END; END; SELECT 2",
       2, 140000},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC END; SELECT 2", 2, 140000},
      {"CREATE OR REPLACE PROCEDURE p(a int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t SELECT CASE "
       "a WHEN 1 THEN 2 END AS \"end\"; DELETE FROM t; END; CALL p(1)",
       2, 140000},
      {"CREATE FUNCTION f(a int) RETURNS int RETURN a + 1; SELECT 2", 2, 140000},
      {"CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b; "
       "NOTIFY c); SELECT 2",
       2},
      {"CREATE RULE r AS ON DELETE TO t DO INSTEAD (;;SELECT 1;); SELECT 2", 2},
      {"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$BEGIN EXECUTE $q$SELECT ';'$q$; "
       "END;$f$; SELECT 2",
       2},
      {"DO 'BEGIN PERFORM 1; END'; DO $$BEGIN; $$", 2},
      {"CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1; SELECT 2", 2},
      {"CREATE TABLE begin (atomic int, \"case\" text, \"end\" text); SELECT begin.atomic FROM "
       "begin; SELECT 3",
       3},
      {"PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p", 3},
      {"BEGIN; SELECT 1; COMMIT", 3},
      {"BEGIN; SELECT 1; END; SELECT 2", 4},
      {"EXPLAIN (COSTS OFF) SELECT 1; TABLE t; VALUES (1), (2)", 3},
      {"SELECT 'größe;', \"naïve;\" FROM t; SELECT '日本;語'", 2},
      {"COPY t FROM '/dev/null'; SELECT 2", 2},
      {"SELECT :'tenant'; SELECT 1 FROM :\"schema\".t", 2},
      {"ALTER TABLE t ADD COLUMN c text DEFAULT ';', ADD CHECK (c <> ';'); SELECT 2", 2},
      {"CREATE TABLE t (a text DEFAULT $$;$$, b int CHECK (b > 0), c text COLLATE \"C\"); SELECT 2",
       2},
      {"COMMENT ON TABLE t IS 'a; b'; COMMENT ON COLUMN t.a IS NULL", 2},
      {"CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW WHEN (NEW.x = ';') EXECUTE FUNCTION "
       "f(';'); "
       "SELECT 2",
       2},
      {longest + "; SELECT 2", 2},
  };
}

}  // namespace

TEST_SUITE("pg/sql/split") {
  TEST_CASE("every piece of a nasty text is one command to the server") {
    const TestDatabase database;
    const Judge judge(database);
    Count count;
    std::size_t unknown = 0;
    for (const Nasty& nasty : nasty_cases()) {
      const std::string text = nasty.text.substr(0, 300);
      CAPTURE(text);
      CHECK(sql::Script::read(nasty.text).statements().size() == nasty.commands);
      unknown += judge.server_version() < nasty.since ? 1 : 0;
      check_pieces(judge, nasty.text, count);
      CHECK(count.unknown == unknown);
    }
    CHECK(count.pieces > 80);
  }

  TEST_CASE("the judge tells one command from two and from none") {
    const TestDatabase database;
    const Judge judge(database);
    CHECK(judge.of("SELECT 1") == Judge::Verdict::one);
    CHECK(judge.of("COMMIT") == Judge::Verdict::one);
    CHECK(judge.of("SELECT 1; SELECT 2") == Judge::Verdict::several);
    CHECK(judge.of("SELECT (1") == Judge::Verdict::wrong);
  }

  TEST_CASE("every piece of real migrations is one command to the server") {
    const TestDatabase database;
    const Judge judge(database);
    Count count;
    std::error_code missing;
    for (const auto& entry :
         fs::recursive_directory_iterator(shared_folder() / "corpora", missing)) {
      if (entry.path().extension() != ".sql" || !entry.is_regular_file())
        continue;
      CAPTURE(entry.path());
      std::ifstream file(entry.path(), std::ios::binary);
      check_pieces(judge, {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()},
                   count);
    }
    if (count.files == 0) {
      MESSAGE("skipped: no corpora beside the checkout (TENANTCTL_SHARED)");
      return;
    }
    MESSAGE(count.files, " files, ", count.unknown, " unknown to this server, ", count.pieces,
            " pieces");
    CHECK(count.unknown * 10 < count.files);
  }
}
