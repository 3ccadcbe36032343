#include "sql/classify.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tenantctl::sql;

namespace {

Classification classified(const std::string& text) { return classify(text, text, scan(text)); }

void check_kinds(StatementKind kind, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(classified(text).kind == kind);
  }
}

void check_autocommit(bool needed, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(classified(text).needs_autocommit == needed);
  }
}

void check_traces(bool left, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(classified(text).leaves_traces == left);
  }
}

void check_calls(bool calls, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(classified(text).calls == calls);
    if (calls)
      CHECK_FALSE(classified(text).inert);
  }
}

}  // namespace

TEST_SUITE("sql/classify") {
  TEST_CASE("a call of what may be the application's own function is seen") {
    check_calls(
        true, {"SELECT f()", "SELECT pg_catalog.set_config('a', 'b', false)", "SELECT my.now()",
               "SELECT \"Lower\"(a) FROM t", "SELECT pg_sleep(1)", "INSERT INTO t VALUES (f())",
               "UPDATE t SET a = lower(f(a))", "ALTER TABLE t ADD COLUMN a int DEFAULT f()",
               "ALTER TABLE t ALTER COLUMN a TYPE int USING f(a)", "ALTER TABLE t ADD CHECK (f(a))",
               "CREATE INDEX ON t (f(a))", "CREATE INDEX ON t (a) WHERE f(a)",
               "CREATE TABLE a AS SELECT f()",
               "CREATE TABLE a PARTITION OF b FOR VALUES FROM (f()) TO (2)",
               "CREATE MATERIALIZED VIEW a AS SELECT f()", "WITH x AS (SELECT f()) TABLE x",
               "SELECT now(", "SELECT f() OVER (), \"a]\"()"});
    check_calls(
        false,
        {"SELECT now()", "SELECT pg_catalog.lower(a), count(*), a AT TIME ZONE 'utc' FROM t",
         "INSERT INTO t (a) VALUES (gen_random_uuid())", "UPDATE t SET a = b",
         "ALTER TABLE t ADD COLUMN a timestamptz DEFAULT now()", "CREATE INDEX ON t (a, b)",
         "CREATE INDEX ON t (lower(a)) WHERE a IN ('f()')", "CREATE TABLE t (a int DEFAULT f())",
         "CREATE VIEW v AS SELECT f()", "CREATE FUNCTION g() RETURNS int RETURN f()",
         "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
         "GRANT EXECUTE ON FUNCTION f() TO x", "COMMENT ON FUNCTION f() IS 'f()'",
         "DROP FUNCTION f()", "VACUUM (ANALYZE) t", "SET a = 'f()'"});
  }

  TEST_CASE("a plain BEGIN or COMMIT is known, comments and case aside") {
    check_kinds(StatementKind::begin,
                {"BEGIN", "begin work", "/* a */ Begin -- b\n TRANSACTION", "START TRANSACTION"});
    check_kinds(StatementKind::commit,
                {"COMMIT", "end", "COMMIT WORK", "END TRANSACTION", "COMMIT AND NO CHAIN"});
  }

  TEST_CASE("everything else that steers the transaction has one kind") {
    check_kinds(StatementKind::transaction_control,
                {"ROLLBACK", "ABORT", "ROLLBACK TO a", "SAVEPOINT a", "RELEASE a",
                 "PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'a'",
                 "COMMIT AND CHAIN", "COMMIT WORK AND CHAIN", "BEGIN READ ONLY",
                 "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION READ ONLY",
                 "SET LOCAL TRANSACTION READ ONLY",
                 "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"});
  }

  TEST_CASE("a COPY that needs the client's side of the wire is known") {
    check_kinds(StatementKind::copy_stream,
                {"COPY t FROM STDIN", "copy t (a, b) from stdin with (format csv)",
                 "COPY (SELECT 1) TO STDOUT", "COPY t TO stdout", "COPY t FROM STDOUT"});
    check_kinds(StatementKind::ordinary,
                {"COPY t FROM '/a'", "COPY t FROM PROGRAM 'stdin'",
                 "COPY (SELECT a FROM stdin) TO '/a'", "COPY t FROM \"stdin\""});
  }

  TEST_CASE("what SET sets decides its kind") {
    check_kinds(StatementKind::set_constraints, {"SET CONSTRAINTS ALL DEFERRED"});
    check_kinds(StatementKind::set_authorization,
                {"SET SESSION AUTHORIZATION a", "SET LOCAL SESSION AUTHORIZATION a",
                 "SET SESSION SESSION AUTHORIZATION a", "SET session_authorization = a"});
    check_kinds(StatementKind::set_role, {"SET ROLE a", "SET LOCAL ROLE a", "SET SESSION ROLE a"});
    check_kinds(StatementKind::ordinary, {"SET a = 1", "SET SESSION a = 1", "SET LOCAL a = 1",
                                          "RESET SESSION AUTHORIZATION"});
  }

  TEST_CASE("concurrent index work is known") {
    check_kinds(
        StatementKind::create_index_concurrently,
        {"CREATE INDEX CONCURRENTLY i ON t (a)", "create unique index concurrently on t (a)"});
    check_kinds(StatementKind::drop_index_concurrently, {"DROP INDEX CONCURRENTLY IF EXISTS i"});
    check_kinds(StatementKind::reindex_concurrently,
                {"REINDEX INDEX CONCURRENTLY i", "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
                 "REINDEX (VERBOSE, CONCURRENTLY) INDEX i", "REINDEX (CONCURRENTLY TRUE) INDEX i"});
    check_kinds(StatementKind::ordinary,
                {"CREATE INDEX i ON t (a)", "CREATE UNIQUE INDEX i ON t (a)", "DROP INDEX i",
                 "REINDEX INDEX i", "REINDEX (CONCURRENTLY FALSE) INDEX i",
                 "REINDEX (CONCURRENTLY 0) INDEX i", "REINDEX (VERBOSE) INDEX i"});
  }

  TEST_CASE("DISCARD and psql's own commands are known") {
    check_kinds(StatementKind::discard, {"DISCARD ALL", "DISCARD TEMP"});
    check_kinds(StatementKind::meta_command, {"\\i other.sql", "-- a\n\\connect b"});
  }

  TEST_CASE("newer and unknown statements are ordinary") {
    check_kinds(StatementKind::ordinary, {"SELECT 1", "MERGE INTO t", "FROBNICATE",
                                          "PREPARE p AS SELECT 1", "BEGINNING", "\"begin\""});
  }

  TEST_CASE("statements that refuse a transaction block are known") {
    check_autocommit(true, {"VACUUM",
                            "VACUUM FULL t",
                            "CREATE DATABASE a",
                            "DROP DATABASE a",
                            "CREATE TABLESPACE a LOCATION 'b'",
                            "DROP TABLESPACE a",
                            "ALTER SYSTEM SET a = 1",
                            "REINDEX SCHEMA a",
                            "REINDEX (VERBOSE) DATABASE a",
                            "REINDEX SYSTEM a",
                            "CREATE INDEX CONCURRENTLY i ON t (a)",
                            "DROP INDEX CONCURRENTLY i",
                            "REINDEX (VERBOSE, CONCURRENTLY) INDEX i",
                            "CREATE SUBSCRIPTION a CONNECTION ''",
                            "DROP SUBSCRIPTION a",
                            "ALTER SUBSCRIPTION a REFRESH PUBLICATION",
                            "ALTER DATABASE a SET TABLESPACE b",
                            "CLUSTER",
                            "CLUSTER VERBOSE",
                            "CLUSTER (VERBOSE)",
                            "ALTER TABLE ONLY a DETACH PARTITION b CONCURRENTLY",
                            "DISCARD ALL"});
  }

  TEST_CASE("statements that only look like them are not") {
    check_autocommit(
        false,
        {"ANALYZE", "CLUSTER t", "CLUSTER VERBOSE t USING i", "CREATE TABLE database ()",
         "ALTER DATABASE a SET b = 1", "REINDEX TABLE a", "ALTER TABLE a DETACH PARTITION b",
         "REFRESH MATERIALIZED VIEW CONCURRENTLY a", "ALTER TYPE a ADD VALUE 'b'", "DISCARD TEMP",
         "ALTER SUBSCRIPTION a DISABLE", "ALTER VIEW a RENAME TO b", "SELECT 'VACUUM'"});
  }

  TEST_CASE("what the next schema could meet in the session is a trace") {
    check_traces(true, {"SET a = 1",
                        "SET SESSION a = 1",
                        "SET ROLE a",
                        "SET SESSION AUTHORIZATION a",
                        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                        "RESET a",
                        "SELECT set_config('a', 'b', false)",
                        "SELECT \"set_config\"('a', 'b', true)",
                        "CREATE TEMP TABLE a ()",
                        "CREATE LOCAL TEMPORARY VIEW a AS SELECT 1",
                        "CREATE TABLE pg_temp.a ()",
                        "SELECT 1 INTO TEMP a",
                        "PREPARE a AS SELECT 1",
                        "LISTEN a",
                        "LOAD 'a'",
                        "DO $$ BEGIN END $$",
                        "CALL a()",
                        "SELECT pg_advisory_lock(1)",
                        "SELECT PG_TRY_ADVISORY_LOCK_SHARED(1)",
                        "DECLARE a CURSOR WITH HOLD FOR SELECT 1"});
  }

  TEST_CASE("what ends with the transaction is no trace") {
    check_traces(
        false, {"SELECT 1", "SET LOCAL a = 1", "SET LOCAL ROLE a", "SET TRANSACTION READ ONLY",
                "SET SESSION TRANSACTION READ ONLY", "SET CONSTRAINTS ALL IMMEDIATE",
                "PREPARE TRANSACTION 'a'", "SELECT pg_advisory_xact_lock(1)",
                "DECLARE a CURSOR FOR SELECT 1", "SELECT 'set_config', temperature -- temp\n",
                "CREATE FUNCTION a() RETURNS int LANGUAGE sql SET search_path = b AS 'SELECT 1'"});
  }
}
