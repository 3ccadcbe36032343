#include "migrate/autocommit_run.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "migrate/migrator.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

constexpr const char* two_vacuums =
    "-- migrate:up transaction:false\nVACUUM a;\nVACUUM b;\n"
    "-- migrate:down transaction:false\nVACUUM c;\n";
constexpr const char* one_index =
    "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (a);\n"
    "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY i;\n";

/// How the catalog answers when it is asked about the index; nothing: there is none.
using Index = std::optional<Fields>;
const Index valid = Fields{"t", "t", "f"};
const Index invalid = Fields{"t", "f", "f"};
const Index building = Fields{"t", "f", "t"};
const Index other = Fields{"f", "f", "f"};
const Index absent = std::nullopt;

/// A schema whose revision 1 runs outside a transaction, before a plain revision 2. The server
/// agrees to everything but what a test says otherwise.
class Schema {
 public:
  explicit Schema(const std::string& bytes)
      : folder_(Scope::tenant, {revision_of(1, bytes), revision_of(2)}) {}

  // Plans from a history in which revision 1 stopped behind `confirmed` statements.
  Schema& stopped(std::size_t confirmed, bool reverting = false) {
    history_ = applied(folder_, {1});
    AppliedRevision& row = history_.front();
    const Revision& revision = *folder_.find(1);
    row.state = RowState::running;
    row.failed = true;
    row.reverting = reverting;
    row.confirmed = confirmed;
    row.statement_digest = statements_digest(reverting ? *revision.down : revision.up, confirmed);
    return *this;
  }
  Schema& applied_first() {
    history_ = applied(folder_, {1});
    return *this;
  }
  // The catalog's answers, one after the other; the last one stays.
  Schema& index(std::vector<Index> answers) {
    index_ = std::move(answers);
    return *this;
  }
  // The segment of this number (from 0) fails at its first message for `part`.
  Schema& failing(std::size_t segment, Part part, const pq::ServerFields& error) {
    fails_.push_back({segment, part, error});
    return *this;
  }

  const Outcome& run(const std::string& target = "head") {
    plan_ = target == "base" ? plan_downgrade(folder_, history_, Target::parse(target))
                             : plan_upgrade(folder_, history_, Target::parse(target));
    migrator_.emplace(SchemaName::existing("acme"), plan_, options_);
    while (auto segment = migrator_->next()) {
      REQUIRE(sent_.size() < 30);
      for (const pq::Message& message : segment->messages)
        answer_catalog(message);
      migrator_->fold(answer_to(*segment));
      sent_.push_back(std::move(*segment));
    }
    return migrator_->outcome();
  }

  const Plan& plan() const { return plan_; }
  const std::vector<Segment>& sent() const { return sent_; }

  // What was sent, one word for each segment.
  std::string way() const {
    std::string text;
    for (const Segment& segment : sent_)
      text += (text.empty() ? "" : " ") + name_of(segment);
    return text;
  }

 private:
  struct Failing {
    std::size_t segment;
    Part part;
    pq::ServerFields error;
  };

  void answer_catalog(const pq::Message& message) {
    if (!message.on_row)
      return;
    const Index answer = index_.at(std::min(asked_, index_.size() - 1));
    ++asked_;
    if (answer)
      send_row(message, *answer);
  }

  pq::FlightAnswer answer_to(const Segment& segment) const {
    for (const Failing& failing : fails_) {
      if (failing.segment == sent_.size())
        return rejection(segment, failing.part, failing.error);
    }
    return agreement(segment);
  }

  static std::string name_of(const Segment& segment) {
    const auto has = [&segment](const std::string& text) {
      return std::any_of(segment.messages.begin(), segment.messages.end(),
                         [&](const auto& m) { return m.sql.find(text) != std::string::npos; });
    };
    const Part part = segment.origins.front().part;
    if (part == Part::lock)
      return "lock";
    if (part == Part::release)
      return "release";
    if (part == Part::statement)
      return "statement" + std::to_string(segment.origins.front().statement + 1);
    if (has("pg_stat_progress_create_index"))
      return "look";
    if (has("DROP INDEX CONCURRENTLY IF EXISTS"))
      return "drop";
    if (has("INSERT INTO") || has("state = 'running', statement"))
      return segment.alone ? "start" : "transaction";
    if (has("SET sqlstate = $2"))
      return "note";
    return has("COMMENT ON") ? "finish" : "progress";
  }

  RevisionFolder folder_;
  History history_;
  MigrateOptions options_;
  Plan plan_;
  std::optional<Migrator> migrator_;
  std::vector<Segment> sent_;
  std::vector<Index> index_{absent};
  std::size_t asked_ = 0;
  std::vector<Failing> fails_;
};

}  // namespace

TEST_SUITE("migrate/autocommit_run") {
  TEST_CASE("each statement is sent alone and recorded before the next") {
    Schema schema(two_vacuums);
    const Outcome& outcome = schema.run("0001");
    CHECK(schema.way() == "lock start statement1 progress statement2 progress finish release");
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 1);
    CHECK(outcome.mark == schema.plan().to);
    for (const Segment& segment : schema.sent())
      CHECK(segment.alone);
    CHECK(schema.sent()[2].messages.size() == 1);
    CHECK(schema.sent()[2].messages[0].sql == "VACUUM a");
  }

  TEST_CASE("while it runs, the mark says so and counts what is beyond doubt") {
    Schema schema(two_vacuums);
    schema.run("0001");
    const Segment& start = schema.sent()[1];
    const std::string mark = start.messages[index_of(start, Part::mark)].sql;
    CHECK(mark.ends_with("'tenantctl 1 scope=tenant head=0 count=0 digest=base running=1'"));
    CHECK(start.messages.back().sql.find("set_config('lock_timeout', $2, false)") !=
          std::string::npos);
    CHECK(start.messages.back().values.at(1) == "30000ms");
  }

  TEST_CASE("a revision in a transaction may follow") {
    Schema schema(two_vacuums);
    const Outcome& outcome = schema.run();
    CHECK(schema.way() ==
          "lock start statement1 progress statement2 progress finish release transaction");
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.steps_done == 2);
  }

  TEST_CASE("a section without statements is only recorded") {
    Schema schema("-- migrate:up transaction:false\n-- later\n");
    CHECK(schema.run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start finish release");
  }

  TEST_CASE("a downgrade removes its row at the end") {
    Schema schema(two_vacuums);
    const Outcome& outcome = schema.applied_first().run("base");
    CHECK(schema.way() == "lock start statement1 progress finish release");
    CHECK(outcome.verdict == Verdict::done);
    CHECK(outcome.mark == Mark{});
    CHECK(schema.sent()[4].messages[2].sql.find("DELETE FROM") != std::string::npos);
  }

  TEST_CASE("a lock that somebody holds ends it before it begins") {
    Schema schema(two_vacuums);
    schema.failing(0, Part::lock, server_error(refusal::busy));
    CHECK(schema.run().verdict == Verdict::busy);
    CHECK(schema.way() == "lock");
  }

  TEST_CASE("a schema that has moved lets the lock go") {
    Schema schema(two_vacuums);
    schema.failing(1, Part::fence, server_error(refusal::moved));
    CHECK(schema.run().verdict == Verdict::moved);
    CHECK(schema.way() == "lock start release");
  }

  TEST_CASE("a failed statement is noted in the row, and the lock let go") {
    Schema schema(two_vacuums);
    schema.failing(4, Part::statement, server_error("42P01", "no table b"));
    const Outcome& outcome = schema.run();
    CHECK(schema.way() == "lock start statement1 progress statement2 note release");
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 0);
    CHECK(outcome.failure->message == "upgrade of revision 0001_r1 failed: no table b");
    CHECK(outcome.failure->place->line == 3);
    CHECK(schema.sent()[5].messages.at(2).values.at(1) == "42P01");
  }

  TEST_CASE("what fails behind a failure changes nothing about it") {
    Schema schema(two_vacuums);
    schema.failing(2, Part::statement, server_error("55P03", "lock timeout"))
        .failing(3, Part::row, server_error("53100", "disk full"))
        .failing(4, Part::release, server_error("XX000"));
    const Outcome& outcome = schema.run();
    CHECK(schema.way() == "lock start statement1 note release");
    CHECK(outcome.verdict == Verdict::contention);
    CHECK(outcome.failure->sqlstate == "55P03");
  }

  TEST_CASE("progress that cannot be recorded ends it") {
    Schema schema(two_vacuums);
    schema.failing(3, Part::row, server_error("53100", "disk full"));
    CHECK(schema.run().verdict == Verdict::exhausted);
    CHECK(schema.way() == "lock start statement1 progress release");
  }

  TEST_CASE("an end that finds no row is a failure") {
    Schema schema(two_vacuums);
    schema.failing(6, Part::row, server_error(refusal::escaped, "its version row is gone"));
    const Outcome& outcome = schema.run("0001");
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 0);
    CHECK(schema.way().ends_with("finish release"));
  }

  TEST_CASE("a lock that is not let go takes no success back") {
    Schema schema(two_vacuums);
    schema.failing(7, Part::release, server_error("XX000"));
    CHECK(schema.run().verdict == Verdict::done);
  }

  TEST_CASE("resuming goes on behind what was confirmed") {
    Schema schema(two_vacuums);
    const Outcome& outcome = schema.stopped(1).run("0001");
    CHECK(schema.way() == "lock start statement2 progress finish release");
    CHECK(outcome.verdict == Verdict::done);
    const Segment& start = schema.sent()[1];
    CHECK(start.messages[index_of(start, Part::row)].sql.starts_with("UPDATE"));
    CHECK(start.messages[index_of(start, Part::fence) + 1].sql.find("IS NOT DISTINCT FROM 1 AND") !=
          std::string::npos);
  }

  TEST_CASE("where all was confirmed only the end is missing") {
    Schema schema(two_vacuums);
    CHECK(schema.stopped(2).run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start finish release");
  }

  TEST_CASE("a new index is looked at before it counts") {
    Schema schema(one_index);
    CHECK(schema.index({valid}).run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start statement1 look progress finish release");
    CHECK(schema.sent()[3].messages[0].values.at(1) == "i");
  }

  TEST_CASE("IF NOT EXISTS says yes to an invalid index; the catalog does not") {
    for (const Index& left : {invalid, building}) {
      Schema schema(one_index);
      const Outcome& outcome = schema.index({left}).run();
      CHECK(schema.way() == "lock start statement1 look note release");
      CHECK(outcome.verdict == Verdict::failed);
      CHECK(outcome.failure->message.ends_with("the index is there but not valid"));
      CHECK(outcome.failure->place->line == 2);
    }
  }

  TEST_CASE("a partitioned index is not judged, an unnamed one cannot be") {
    CHECK(Schema(one_index).index({other}).run("0001").verdict == Verdict::done);
    Schema unnamed("-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY ON t (a);\n");
    CHECK(unnamed.run("0001").verdict == Verdict::done);
    CHECK(unnamed.way() == "lock start statement1 progress finish release");
  }

  TEST_CASE("an index that an interrupted run finished is adopted") {
    Schema schema(one_index);
    CHECK(schema.stopped(0).index({valid}).run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start look progress finish release");
  }

  TEST_CASE("an index that was left half-built is dropped and built again") {
    Schema schema(one_index);
    CHECK(schema.stopped(0).index({invalid, valid}).run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start look drop statement1 look progress finish release");
    CHECK(schema.sent()[3].messages[0].sql == "DROP INDEX CONCURRENTLY IF EXISTS \"acme\".\"i\"");
  }

  TEST_CASE("an index that was not begun is built") {
    Schema schema(one_index);
    CHECK(schema.stopped(0).index({absent, valid}).run("0001").verdict == Verdict::done);
    CHECK(schema.way() == "lock start look statement1 look progress finish release");
  }

  TEST_CASE("an index that the old backend still builds is waited for") {
    Schema schema(one_index);
    const Outcome& outcome = schema.stopped(0).index({building}).run();
    CHECK(outcome.verdict == Verdict::busy);
    CHECK(schema.way() == "lock start look release");
  }

  TEST_CASE("an index that is gone already need not be dropped") {
    Schema gone(one_index);
    CHECK(gone.stopped(0, true).index({absent}).run("base").verdict == Verdict::done);
    CHECK(gone.way() == "lock start look progress finish release");
    Schema half(one_index);
    CHECK(half.stopped(0, true).index({invalid}).run("base").verdict == Verdict::done);
    CHECK(half.way() == "lock start look statement1 progress finish release");
  }

  TEST_CASE("a failed look or drop ends it and lets the lock go") {
    Schema look(one_index);
    look.stopped(0).index({valid}).failing(2, Part::row, server_error("42501", "no"));
    CHECK(look.run().verdict == Verdict::failed);
    CHECK(look.way() == "lock start look release");
    Schema drop(one_index);
    drop.stopped(0).index({invalid}).failing(3, Part::row, server_error("55P03", "no"));
    CHECK(drop.run().verdict == Verdict::contention);
    CHECK(drop.way() == "lock start look drop release");
  }

  TEST_CASE("the index is looked for by the name that is sent") {
    Schema schema(
        "-- migrate:up transaction:false\n"
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS :\"schema\" ON t (a);\n");
    CHECK(schema.index({valid}).run("0001").verdict == Verdict::done);
    CHECK(schema.sent()[3].messages[0].values.at(1) == "acme");
  }

  TEST_CASE("a stop sends no further statement, notes that, and lets the lock go") {
    const RevisionFolder folder(Scope::tenant, {revision_of(1, two_vacuums)});
    const Plan plan = plan_upgrade(folder, {}, Target::head());
    const MigrateOptions options;
    // How many segments are sent before the stop, and how many follow it.
    const std::vector<std::pair<int, int>> ways{{0, 0}, {1, 1}, {2, 2}, {4, 2}};
    for (const auto& [before, behind] : ways) {
      CAPTURE(before);
      Migrator migrator(SchemaName::existing("acme"), plan, options);
      for (int i = 0; i < before; ++i)
        migrator.fold(agreement(*migrator.next()));
      REQUIRE(migrator.next());
      migrator.stop();
      CHECK(migrator.outcome().failure->sqlstate == "57014");
      int sent = 0;
      while (const auto segment = migrator.next()) {
        CHECK(migrator.is_recording());
        migrator.fold(agreement(*segment));
        ++sent;
      }
      CHECK(sent == behind);
      CHECK(migrator.outcome().verdict == Verdict::failed);
      CHECK(migrator.outcome().steps_done == 0);
    }
  }

  TEST_CASE("a stop lets what is only to be recorded go on") {
    const RevisionFolder folder(Scope::tenant, {revision_of(1, two_vacuums)});
    const Plan plan = plan_upgrade(folder, {}, Target::head());
    const MigrateOptions options;
    Migrator migrator(SchemaName::existing("acme"), plan, options);
    for (int i = 0; i < 6; ++i)
      migrator.fold(agreement(*migrator.next()));
    const auto finish = migrator.next();
    CHECK(migrator.is_recording());
    migrator.stop();
    CHECK(migrator.outcome().verdict == Verdict::open);
    migrator.fold(agreement(*finish));
    CHECK(migrator.outcome().verdict == Verdict::done);
  }
}
