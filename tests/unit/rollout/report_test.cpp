#include "rollout/report.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <utility>

using namespace tenantctl;

namespace {

SchemaReport schema_report(std::string name, Result result) {
  SchemaReport report;
  report.schema = std::move(name);
  report.result = result;
  return report;
}

SchemaReport failed_report(std::string name, const Failure& failure) {
  SchemaReport report = schema_report(std::move(name), Result::failed);
  report.failure = std::make_unique<Failure>(failure);
  return report;
}

Failure failure(const std::string& sqlstate, int line, const std::string& message = "no") {
  return {.message = message,
          .hint = {},
          .sqlstate = sqlstate,
          .revision = "0002_b",
          .place = Place{.file = "b.sql", .line = line, .column = 1, .text = {}}};
}

template <typename... Schemas>
Report report_of(Schemas&&... schemas) {
  Report report;
  (report.schemas.push_back(std::forward<Schemas>(schemas)), ...);
  return report;
}

}  // namespace

TEST_SUITE("rollout/report") {
  TEST_CASE("the counts add up to the selection") {
    const Report report =
        report_of(schema_report("a", Result::applied), schema_report("b", Result::applied),
                  schema_report("c", Result::not_started), schema_report("d", Result::gone));
    CHECK(report.count(Result::applied) == 2);
    CHECK(report.count(Result::not_started) == 1);
    CHECK(report.count(Result::failed) == 0);
    std::size_t sum = 0;
    for (const std::size_t count : report.counts())
      sum += count;
    CHECK(sum == report.schemas.size());
  }

  TEST_CASE("applied, unchanged and gone need nobody; all else does") {
    CHECK_FALSE(Report().has_problem());
    for (std::size_t i = 0; i < result_count; ++i) {
      const auto result = static_cast<Result>(i);
      CAPTURE(to_text(result));
      const bool fine =
          result == Result::applied || result == Result::unchanged || result == Result::gone;
      CHECK(is_problem(result) != fine);
      CHECK(report_of(schema_report("a", result)).has_problem() != fine);
    }
  }

  TEST_CASE("every result has a name of its own") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < result_count; ++i)
      names.insert(to_text(static_cast<Result>(i)));
    CHECK(names.size() == result_count);
    CHECK(names.count("") == 0);
    CHECK(to_text(Result::in_doubt) == "in-doubt");
    CHECK(to_text(static_cast<Result>(99)).empty());
  }

  TEST_CASE("one cause for the same code, revision and line, whatever values the text names") {
    const Report report = report_of(failed_report("b", failure("23505", 3, "key 1")),
                                    failed_report("a", failure("23505", 3, "key 2")));
    const auto causes = causes_of(report);
    REQUIRE(causes.size() == 1);
    CHECK(causes[0].schemas() == std::vector<std::string_view>{"a", "b"});
    CHECK(causes[0].example->schema == "b");
  }

  TEST_CASE("another line, code, revision or result is another cause") {
    Failure elsewhere = failure("23505", 3);
    elsewhere.revision = "0003_c";
    SchemaReport busy = failed_report("e", failure("23505", 3));
    busy.result = Result::busy;
    const Report report = report_of(
        failed_report("a", failure("23505", 3)), failed_report("b", failure("23505", 4)),
        failed_report("c", failure("42P01", 3)), failed_report("d", elsewhere), std::move(busy));
    CHECK(causes_of(report).size() == 5);
  }

  TEST_CASE("without a code and a line the text tells") {
    Failure first = failure("", 0, "one");
    Failure second = failure("", 0, "two");
    first.place.reset();
    const Report report =
        report_of(failed_report("a", first), failed_report("b", second), failed_report("c", first));
    const auto causes = causes_of(report);
    REQUIRE(causes.size() == 2);
    CHECK(causes[0].members.size() == 2);
  }

  TEST_CASE("with a code but no line the text does not") {
    const Report report = report_of(failed_report("a", failure("57014", 0, "one")),
                                    failed_report("b", failure("57014", 0, "two")));
    CHECK(causes_of(report).size() == 1);
  }

  TEST_CASE("the commonest cause comes first, and what is fine has none") {
    const Report report =
        report_of(schema_report("a", Result::applied), failed_report("b", failure("42P01", 1)),
                  schema_report("c", Result::missing), schema_report("d", Result::missing),
                  schema_report("e", Result::gone));
    const auto causes = causes_of(report);
    REQUIRE(causes.size() == 2);
    CHECK(causes[0].example->result == Result::missing);
    CHECK(causes[1].example->result == Result::failed);
  }
}

TEST_SUITE("rollout/report appeared") {
  TEST_CASE("what became of tenants that appeared stands behind the others and is counted") {
    Report report = report_of(schema_report("a", Result::applied));
    report.duration = std::chrono::milliseconds(5);
    Report later =
        report_of(schema_report("b", Result::missing), schema_report("c", Result::applied));
    later.duration = std::chrono::milliseconds(7);
    later.stopped_by = "enough";
    report.add_appeared(std::move(later));
    report.add_appeared(report_of(schema_report("d", Result::applied)));
    CHECK(report.appeared == 3);
    CHECK(report.schemas.size() == 4);
    CHECK(report.schemas[1].schema == "b");
    CHECK(report.count(Result::applied) == 3);
    CHECK(report.duration.count() == 12);
    CHECK(report.stopped_by == "enough");
    CHECK_FALSE(report.interrupted);
  }
}
