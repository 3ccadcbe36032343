#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "output/result_writer.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

const RevisionFolder& text_folder() {
  static const RevisionFolder folder = folder_of({1, 2, 12});
  return folder;
}

SchemaReport schema_report(std::string name, Result result, RevisionNumber at = 0,
                           std::uint32_t steps = 0) {
  SchemaReport report;
  report.schema = std::move(name);
  report.result = result;
  report.revision = at;
  report.steps = steps;
  return report;
}

SchemaReport failed(std::string name, Failure failure, Result result = Result::failed) {
  SchemaReport report = schema_report(std::move(name), result, 2);
  report.failure = std::make_unique<Failure>(std::move(failure));
  return report;
}

Failure failure_saying(const std::string& hint = {}) {
  return {.message = "upgrade of revision 0012_r12 failed: no table",
          .hint = hint,
          .sqlstate = "42P01",
          .revision = "0012_r12",
          .place = Place{.file = "a.sql", .line = 4, .column = 8, .text = "UPDATE invoices"}};
}

struct Written {
  std::string out;
  std::string err;
};

Written run(const Report* tenants, const Report* shared = nullptr) {
  RunResult result;
  result.command = "upgrade-all";
  result.shared = shared;
  result.tenants = tenants;
  result.shared_folder = &text_folder();
  result.tenant_folder = &text_folder();
  std::ostringstream out;
  std::ostringstream err;
  write_run(out, err, Format::text, result);
  return {out.str(), err.str()};
}

Place place(int line, int column, std::string text) {
  return {.file = "a.sql", .line = line, .column = column, .text = std::move(text)};
}

}  // namespace

TEST_SUITE("output/text_writer") {
  TEST_CASE("a duration is as exact as a person wants it") {
    CHECK(duration_text(0ms) == "0 ms");
    CHECK(duration_text(850ms) == "850 ms");
    CHECK(duration_text(1'234ms) == "1.2 s");
    CHECK(duration_text(185s) == "3 min 5 s");
  }

  TEST_CASE("a revision is named as its folder names it") {
    CHECK(revision_text(text_folder(), 0) == "base");
    CHECK(revision_text(text_folder(), 12) == "0012_r12");
    CHECK(revision_text(text_folder(), 7) == "0007");
  }

  TEST_CASE("a place is its line with a caret under the column") {
    CHECK(place_text(place(4, 8, "UPDATE invoices"), "  ") ==
          "  a.sql:4:8\n    UPDATE invoices\n           ^\n");
    CHECK(place_text(place(4, 1, "x"), "") == "a.sql:4:1\n  x\n  ^\n");
  }

  TEST_CASE("the caret stands under the right character behind tabs and accents") {
    CHECK(place_text(place(1, 4, "\t\xC3\xA9\tx"), "") == "a.sql:1:4\n  \t\xC3\xA9\tx\n  \t \t^\n");
  }

  TEST_CASE("a column past the end is the end") {
    CHECK(place_text(place(1, 99, "ab"), "") == "a.sql:1:99\n  ab\n    ^\n");
  }

  TEST_CASE("what is not known of a place is left out") {
    CHECK(place_text(place(0, 0, ""), "  ") == "  a.sql\n");
    CHECK(place_text(place(3, 0, "ab"), "") == "a.sql:3\n  ab\n");
    CHECK(place_text(place(3, 2, ""), "") == "a.sql:3:2\n");
  }

  TEST_CASE("a line cannot move the terminal's cursor, and the caret follows what is shown") {
    CHECK(place_text(place(1, 3,
                           "a\x1B"
                           "b\r"),
                     "") == "a.sql:1:3\n  a\\x1bb\\x0d\n       ^\n");
  }

  TEST_CASE("no tenants, one tenant and many have a line each") {
    Report none;
    CHECK(run(&none).out == "tenants  none: nothing to do\n");
    Report one;
    one.schemas.push_back(schema_report("acme", Result::applied, 12, 2));
    CHECK(run(&one).out == "tenant   acme: applied, at 0012_r12 (2 revisions)\n");
    Report many;
    many.duration = 1'500ms;
    for (int i = 0; i < 300; ++i)
      many.schemas.push_back(schema_report(fmt::format("t{}", i), Result::applied, 12, 1));
    many.schemas.push_back(schema_report("x", Result::unchanged, 12));
    CHECK(run(&many).out ==
          "tenants  300 applied, 1 unchanged (301 schemas in 1.5 s, 201 schemas/s)\n");
    CHECK(run(&many).err.empty());
  }

  TEST_CASE("the shared scope has a line of its own") {
    Report shared;
    shared.schemas.push_back(schema_report("shared", Result::unchanged, 2));
    Report none;
    CHECK(run(&none, &shared).out ==
          "shared   shared: unchanged, at 0002_r2\ntenants  none: nothing to do\n");
    CHECK(run(nullptr, nullptr).out.empty());
  }

  TEST_CASE("a cause of one schema names it, with place and hint") {
    Report report;
    report.schemas.push_back(failed("acme", failure_saying()));
    CHECK(run(&report).err ==
          "tenantctl: acme: upgrade of revision 0012_r12 failed: no table (SQLSTATE 42P01)\n"
          "  a.sql:4:8\n"
          "    UPDATE invoices\n"
          "           ^\n"
          "HINT: The schema is still at 0002_r2; mend the file and run the command again.\n");
  }

  TEST_CASE("41 failures of three causes are told by cause, with every name") {
    Report report;
    for (int i = 0; i < 959; ++i)
      report.schemas.push_back(schema_report(fmt::format("ok{}", i), Result::applied, 12, 1));
    const std::vector<std::pair<std::string, int>> causes{
        {"0001_r1", 1}, {"0012_r12", 30}, {"0002_r2", 10}};
    for (const auto& [revision, count] : causes) {
      for (int i = 0; i < count; ++i) {
        Failure one = failure_saying("Do this.");
        one.revision = revision;
        report.schemas.push_back(failed(fmt::format("{}_{:02}", revision, i), one));
      }
    }
    const Written written = run(&report);
    CHECK(written.out.starts_with("tenants  959 applied, 41 failed (1000 schemas in "));
    CHECK(
        written.err.starts_with("tenantctl: 41 of 1000 schemas with problems, 3 causes\n"
                                "tenantctl: 30 schemas: upgrade of revision 0012_r12 failed"));
    CHECK(written.err.find("0012_r12_29\n") != std::string::npos);
    CHECK(written.err.find("tenantctl: 10 schemas: ") <
          written.err.find("tenantctl: 0001_r1_00: "));
    CHECK(written.err.find("--report") == std::string::npos);
  }

  TEST_CASE("5,000 failures of 10,000 show one example and 20 names") {
    Report report;
    for (int i = 0; i < 10'000; ++i) {
      report.schemas.push_back(i % 2 == 0
                                   ? failed(fmt::format("t{:05}", i), failure_saying("Do this."))
                                   : schema_report(fmt::format("t{:05}", i), Result::applied, 12));
    }
    const std::string err = run(&report).err;
    CHECK(err.starts_with("tenantctl: 5000 schemas: upgrade of revision 0012_r12 failed"));
    CHECK(err.find("t00000, t00002,") != std::string::npos);
    CHECK(err.find("t00038 and 4980 more\n") != std::string::npos);
    CHECK(err.find("t00040") == std::string::npos);
    CHECK(
        err.ends_with("HINT: Do this.\n"
                      "HINT: --output json and a --report name every schema.\n"));
    std::istringstream lines(err);
    for (std::string line; std::getline(lines, line);)
      CHECK(line.size() <= 120);
  }

  TEST_CASE("of 5,000 causes ten are told") {
    Report report;
    for (int i = 0; i < 5'000; ++i) {
      Failure one = failure_saying("Do this.");
      one.revision = fmt::format("{}_x", i);
      report.schemas.push_back(failed(fmt::format("t{:05}", i), one));
    }
    const std::string err = run(&report).err;
    CHECK(err.starts_with("tenantctl: 5000 of 5000 schemas with problems, 5000 causes\n"));
    CHECK(err.find("\ntenantctl: 4990 more causes, of 4990 schemas\n"
                   "HINT: --output json and a --report name every schema.\n") != std::string::npos);
    CHECK(err.size() < 3'000);
  }

  TEST_CASE("a busy schema's blocker is named, the one in most schemas' way first") {
    Report report;
    for (int i = 0; i < 3; ++i) {
      report.schemas.push_back(
          failed(fmt::format("t{}", i), failure_saying("Do this."), Result::busy));
      report.schemas.back().blocker = std::make_unique<Blocker>();
      report.schemas.back().blocker->pid = i == 0 ? 12 : 4711;
      report.schemas.back().blocker->user = "app\x1b";
      report.schemas.back().blocker->age = 200s;
      report.schemas.back().blocker->query = "UPDATE a\nSET x = 1";
    }
    CHECK(
        run(&report).err.find(
            "  blocked by pid 4711 (user app\\x1b, in a transaction for 3 min): UPDATE a SET x = 1 "
            "(2 schemas)\n"
            "  blocked by pid 12 (user app\\x1b, in a transaction for 3 min): UPDATE a SET x = 1\n"
            "  t0, t1, t2\n") != std::string::npos);
  }

  TEST_CASE("a long run names its slowest five and the retried") {
    Report report;
    for (int i = 0; i < 12; ++i) {
      report.schemas.push_back(schema_report(fmt::format("t{}", i), Result::applied, 12, 1));
      report.schemas.back().duration = std::chrono::milliseconds(100 * i);
      report.schemas.back().tries = i == 4 ? 3 : i > 5 ? 1 : 0;
    }
    report.duration = 4'900ms;
    CHECK(run(&report).out.find("slowest") == std::string::npos);
    report.duration = 5s;
    const std::string out = run(&report).out;
    CHECK(out.find("\nslowest  t11 1.1 s, t10 1.0 s, t9 900 ms, t8 800 ms, t7 700 ms\n") !=
          std::string::npos);
    CHECK(
        out.find("\nretried  7 schemas: t4 3 failed tries, t6 1 failed try, t7 1 failed try, t8 1 "
                 "failed try, t9 1 failed try, ...\n") != std::string::npos);
  }

  TEST_CASE("a cause without a failure is its result") {
    Report report;
    report.schemas.push_back(schema_report("a", Result::not_started));
    report.schemas.push_back(schema_report("b", Result::not_started));
    report.schemas.push_back(failed("c", failure_saying("H."), Result::busy));
    report.stopped_by = "disk full\x1B";
    const std::string err = run(&report).err;
    CHECK(
        err.starts_with("tenantctl: 3 of 3 schemas with problems, 2 causes\n"
                        "tenantctl: 2 schemas: not-started\n  a, b\n"));
    CHECK(err.find("tenantctl: c: busy: upgrade of") != std::string::npos);
    CHECK(err.ends_with("tenantctl: no further schema was started: disk full\\x1b\n"));
  }

  TEST_CASE("a server's text cannot move the terminal's cursor") {
    Report report;
    Failure odd = failure_saying();
    odd.message = "a\x1B[2J";
    odd.place.reset();
    report.schemas.push_back(failed("x\x1B", odd));
    CHECK(run(&report).err.starts_with("tenantctl: x\\x1b: a\\x1b[2J (SQLSTATE 42P01)\n"));
  }

  TEST_CASE("an error has its place and hint, and no document in text") {
    std::ostringstream out;
    std::ostringstream err;
    write_error(out, err, Format::text, "usage", UsageError("bad", "Mend it.", place(1, 1, "x")));
    CHECK(out.str().empty());
    CHECK(err.str() == "tenantctl: bad\n  a.sql:1:1\n    x\n    ^\nHINT: Mend it.\n");
  }
}
