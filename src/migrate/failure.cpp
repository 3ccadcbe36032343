#include "migrate/failure.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "sql/location.h"

namespace tenantctl {
namespace {

bool is_contention(const pq::ServerFields& error) {
  const bool concurrently = error.message.find("tuple concurrently") != std::string::npos;
  return error.is("55P03") || error.is("40P01") || error.is("40001") ||
         (error.is("XX000") && concurrently) || (error.is("23505") && error.schema == "pg_catalog");
}

Verdict verdict_of(std::string_view code) {
  if (code == refusal::gone) {
    return Verdict::gone;
  }
  if (code == refusal::busy) {
    return Verdict::busy;
  }
  if (code == refusal::moved) {
    return Verdict::moved;
  }
  return code == refusal::foreign ? Verdict::foreign : Verdict::failed;
}

// It never ran: behind a failed segment, or because the session lost our prepared statements
// (26000), which are sent again.
bool is_refused(const pq::ServerFields& error, Part part) {
  if (part == Part::begin) {
    return error.is("25P02");
  }
  return (part == Part::fence || part == Part::settings) && error.is("26000");
}

// Another run made the schema or the table first, or took it away.
bool is_moved(const pq::ServerFields& error, Part part) {
  if (part == Part::install) {
    return error.is("42P06") || error.is("42P07") || error.is("23505");
  }
  return part == Part::fence && (error.is("42P01") || error.is("3F000"));
}

bool is_exhausted(const pq::ServerFields& error) {
  return error.is("53100") || error.is("53200") || error.is("53400");
}

}  // namespace

Verdict verdict_of(const pq::ServerFields& error, Part part) {
  // The user's SQL may raise any code, also at COMMIT (deferred triggers): there it means nothing
  // of ours, or `moved` would be tried for ever and `gone` would pass for success.
  const bool is_ours = part != Part::statement && part != Part::commit;
  const auto refusal = own_refusal(error);
  if (is_ours && refusal) {
    return verdict_of(refusal->code);
  }
  if (is_refused(error, part)) {
    return Verdict::refused;
  }
  if (is_contention(error)) {
    return Verdict::contention;
  }
  if (is_moved(error, part)) {
    return Verdict::moved;
  }
  return is_exhausted(error) ? Verdict::exhausted : Verdict::failed;
}

std::string hint_of(const pq::ServerFields& error) {
  if (error.is("42883") || error.is("42704")) {
    return "If an extension provides it, name the extension's schema with search-path-extra.";
  }
  if (error.is("55P04")) {
    return "A new enum value can be used only after it is committed: split the revision in two.";
  }
  if (error.is("25001")) {
    return "Put the statement alone into a revision whose section says transaction:false.";
  }
  if (error.is("57014")) {
    return "The statement was cancelled, or took longer than --statement-timeout.";
  }
  return error.hint;
}

// The server counts characters of what was sent; the file has placeholders where that has values.
Place place_of_error(const pq::ServerFields& error, const SentSection& sent, std::size_t index,
                     const sql::Variables& variables) {
  const sql::Script& script = sent.section.script;
  const sql::Statement& statement = script.statements()[index];
  std::size_t byte = statement.first_token;
  if (error.position > 0) {
    const std::string text = script.rendered(statement, variables);
    const auto at = sql::Location::at_character(text, static_cast<std::size_t>(error.position));
    byte = script.source_byte(statement, variables, at.byte());
  }
  return place_of(sent.revision, sent.section, byte);
}

Failure failure_of(const pq::ServerFields& error, const Segment::Origin& origin, const Step& step,
                   const SegmentWriter& writer) {
  Failure failure{.message = error.message,
                  .hint = hint_of(error),
                  .sqlstate = error.sqlstate,
                  .revision = {},
                  .place = std::nullopt};
  const auto refusal = own_refusal(error);
  if (refusal && origin.part != Part::statement) {
    failure.sqlstate = refusal->code;
    failure.message = refusal->message;
  }
  if (!error.detail.empty()) {
    failure.message += ": " + error.detail;
  }
  if (step.revision == nullptr) {
    return failure;
  }
  failure.revision = step.revision->title();
  if (error.is("23503") && error.constraint == "tenantctl_guard") {
    failure.message = "the revision's own text tried to commit; nothing of it was kept";
    failure.hint = "Leave COMMIT out, also out of what it calls or executes.";
  }
  if (origin.part == Part::close && (error.is("42P01") || error.is("3F000"))) {
    failure.message = "the revision took its version table or schema away; nothing of it was kept";
  }
  if (refusal && refusal->code == refusal::tampered) {
    failure.hint =
        "Leave its rows, owner, triggers and rules alone, also where a loop goes over all "
        "tables of the schema.";
  }
  failure.place = origin.part == Part::statement
                      ? place_of_error(error, {*step.revision, step.section()}, origin.statement,
                                       writer.variables())
                      : Place{.file = step.revision->file, .line = 0, .column = 0, .text = {}};
  const bool repeatable = step.revision->is_repeatable();
  failure.message = fmt::format("{} {} failed: {}",
                                repeatable                           ? "repeatable"
                                : step.kind == Step::Kind::downgrade ? "downgrade of revision"
                                                                     : "upgrade of revision",
                                failure.revision, failure.message);
  return failure;
}

}  // namespace tenantctl
