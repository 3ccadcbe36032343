#include "output/sql_writer.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "sql/script.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

// The script for one schema that gets `folder`.
std::string script(const RevisionFolder& folder, const std::string& schema,
                   Missing missing = Missing::nothing) {
  FleetPlan plan;
  FleetPlan::Group group;
  group.work.plan =
      plan_upgrade(folder, {}, Target::head(), {.allow_out_of_order = false, .missing = missing});
  group.schemas = {schema, "second"};
  plan.groups.push_back(std::move(group));
  MigrateOptions options;
  options.table.tool_version = "1.2";
  std::ostringstream out;
  write_sql(out, plan, options);
  return out.str();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("output/sql_writer") {
  TEST_CASE("a group's SQL is that of its first schema") {
    const std::string text = script(folder_of({1}), "acme");
    CHECK(text.starts_with("-- 2 schemas, from revision 0 to 1; the SQL for acme:\nBEGIN "));
    CHECK(text.ends_with("COMMIT;\n"));
    CHECK(has(text, "\nCREATE TABLE t1 ();\n"));
    CHECK_FALSE(has(text, "second"));
  }

  TEST_CASE("values stand in place, NULL for none") {
    const std::string text = script(folder_of({1}), "o'neill");
    CHECK(has(text, "VALUES (1, 1, '0001_r1'") == false);
    CHECK(has(text, "VALUES ('1', '1', '0001_r1', 'sha256:"));
    CHECK(has(text, "transaction_timestamp(), NULL, '1.2', NULL, NULL)"));
    CHECK(has(text, "set_config('search_path', '\"o''neill\", pg_temp', true)"));
    CHECK_FALSE(has(text, "$1"));
  }

  TEST_CASE("a dollar sign in a name is no value") {
    for (const std::string schema : {"ten$ant", "a$1b", "$2", "a$", "x$tenantctl$y", "a\"$1"}) {
      CAPTURE(schema);
      std::string text;
      REQUIRE_NOTHROW(text = script(folder_of({1}), schema));
      CHECK(has(text,
                "INSERT INTO " + SchemaName::existing(schema).quoted() + ".\"tenantctl_version\""));
      CHECK(sql::Script::read(text).parsed());
    }
  }

  TEST_CASE("the user's SQL is written as it is sent") {
    const RevisionFolder folder(
        Scope::tenant,
        {revision_of(1, "-- migrate:up\nDO $$ BEGIN PERFORM $1$a$1$; END $$;\nSELECT :'tenant'")});
    const std::string text = script(folder, "acme");
    CHECK(has(text, "\nDO $$ BEGIN PERFORM $1$a$1$; END $$;\n"));
    CHECK(has(text, "\nSELECT 'acme';\n"));
  }

  TEST_CASE("a comment at the end does not swallow the semicolon") {
    const RevisionFolder folder(Scope::tenant,
                                {revision_of(1, "-- migrate:up\nSELECT 1 -- the last word\n")});
    const std::string text = script(folder, "acme");
    const auto all = sql::Script::read(text).statements().size();
    const RevisionFolder plain(Scope::tenant, {revision_of(1, "-- migrate:up\nSELECT 1;\n")});
    CHECK(all == sql::Script::read(script(plain, "acme")).statements().size());
  }

  TEST_CASE("work outside a transaction is written statement by statement") {
    const RevisionFolder folder(Scope::tenant,
                                {revision_of(1,
                                             "-- migrate:up transaction:false\nVACUUM a;\n"
                                             "CREATE INDEX CONCURRENTLY i ON t (a);\n")});
    const std::string text = script(folder, "acme", Missing::schema);
    CHECK(has(text, "CREATE SCHEMA \"acme\";\n"));
    CHECK(has(text, "COMMIT;\nSELECT (CASE WHEN n.oid IS NULL"));
    CHECK(has(text, "\nVACUUM a;\n"));
    CHECK(has(text, "\nCREATE INDEX CONCURRENTLY i ON t (a);\n"));
    CHECK(text.ends_with("DISCARD ALL;\n"));
  }

  TEST_CASE("groups with a problem are told, groups without schemas are not") {
    FleetPlan plan;
    FleetPlan::Group group;
    group.problem = Failure{
        .message = "edited\x1B", .hint = {}, .sqlstate = {}, .revision = {}, .place = std::nullopt};
    group.result = Result::failed;
    plan.groups.push_back(group);
    group.schemas = {"a"};
    plan.groups.push_back(group);
    std::ostringstream out;
    write_sql(out, plan, MigrateOptions());
    CHECK(out.str() == "-- 1 schema: failed: edited\\x1b\n");
  }
}
