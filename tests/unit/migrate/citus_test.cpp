#include <doctest/doctest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "migrate/migrator.h"
#include "sql/script.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

// What a coordinator of Citus with schema-based sharding takes is narrower than PostgreSQL. Citus
// itself is not at hand for the tests; what is known of it is held against every message of ours.

namespace {

/// Messages of ours in everything that a plan sends, to its end.
std::vector<std::string> messages_of(const Plan& plan, const MigrateOptions& options) {
  std::vector<std::string> sql;
  Migrator migrator(SchemaName::existing("acme"), plan, options);
  while (const auto segment = migrator.next()) {
    for (std::size_t i = 0; i < segment->messages.size(); ++i) {
      if (segment->origins[i].part != Part::statement)
        sql.push_back(segment->messages[i].sql);
    }
    migrator.fold(agreement(*segment));
  }
  return sql;
}

RevisionFolder everything() {
  return {
      Scope::tenant,
      {revision_of(1, "-- migrate:up\nCREATE TABLE a (i int);\n-- migrate:down\nDROP TABLE a;\n"),
       revision_of(2,
                   "-- migrate:up\nINSERT INTO a VALUES (1);\nSET search_path = a;\n"
                   "-- migrate:down\nDELETE FROM a;\n"),
       revision_of(3,
                   "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY x ON a (i);\n"
                   "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY x;\n")},
      {repeatable_of("view", "CREATE OR REPLACE VIEW v AS SELECT 1;\n")}};
}

/// Of every sort of plan, on a direct connection and through a pooler.
std::vector<std::string> all_messages() {
  const RevisionFolder folder = everything();
  const RevisionFolder in_transactions(
      Scope::tenant, {folder.revisions()[0], folder.revisions()[1]}, folder.repeatables());
  std::vector<std::string> all;
  const auto add = [&all](const Plan& plan, const MigrateOptions& options) {
    const auto some = messages_of(plan, options);
    all.insert(all.end(), some.begin(), some.end());
  };
  for (const bool direct : {true, false}) {
    MigrateOptions options;
    options.direct = direct;
    add(plan_upgrade(in_transactions, {}, Target::head(),
                     {.allow_out_of_order = false, .missing = Missing::schema}),
        options);
    add(plan_stamp(in_transactions, {}, Target::head(), Missing::table), options);
    add(plan_downgrade(in_transactions, history_of(in_transactions, 2), Target::parse("base")),
        options);
  }
  add(plan_upgrade(folder, {}, Target::head(),
                   {.allow_out_of_order = false, .missing = Missing::schema}),
      {});
  add(plan_downgrade(folder, history_of(folder, 3), Target::parse("base")), {});
  return all;
}

}  // namespace

TEST_SUITE("migrate/citus") {
  TEST_CASE("every message of ours is one command") {
    const auto all = all_messages();
    CHECK(all.size() > 60);
    for (const std::string& sql : all) {
      CAPTURE(sql);
      CHECK(sql::Script::read(sql).statements().size() == 1);
    }
  }

  TEST_CASE("no foreign key of ours leaves the tenant's schema") {
    const std::regex reference(R"(REFERENCES\s+(\S+))", std::regex::icase);
    std::size_t found = 0;
    for (const std::string& sql : all_messages()) {
      CAPTURE(sql);
      for (std::sregex_iterator at(sql.begin(), sql.end(), reference), end; at != end; ++at) {
        CHECK((*at)[1].str().starts_with("\"acme\"."));
        ++found;
      }
    }
    CHECK(found > 0);
  }

  TEST_CASE("nothing of ours is a trigger, a rule or a function in a tenant's schema") {
    const std::regex refused(R"(\bCREATE\s+(OR\s+REPLACE\s+)?)"
                             R"((CONSTRAINT\s+TRIGGER|TRIGGER|RULE|FUNCTION|PROCEDURE|EVENT)\b)",
                             std::regex::icase);
    for (const std::string& sql : all_messages()) {
      CAPTURE(sql);
      CHECK_FALSE(std::regex_search(sql, refused));
    }
  }

  TEST_CASE("what is made is the schema and its version table, and nothing beside them") {
    const std::regex made(R"(^\s*CREATE\s+(\w+)\s+(IF NOT EXISTS\s+)?(\S+))", std::regex::icase);
    for (const std::string& sql : all_messages()) {
      std::smatch what;
      if (!std::regex_search(sql, what, made))
        continue;
      CAPTURE(sql);
      const bool is_schema = what[1] == "SCHEMA" && what[3].str().starts_with("\"acme\"");
      const bool is_table = what[1] == "TABLE" && what[3].str().starts_with("\"acme\".");
      CHECK((is_schema || is_table));
    }
  }
}
