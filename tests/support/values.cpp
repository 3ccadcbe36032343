#include "support/values.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <utility>

namespace tenantctl::testing {

Revision revision_of(RevisionNumber number, const std::string& bytes) {
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  Revision revision = read_revision(fmt::format("versions/{:04}_r{}.sql", number, number),
                                    Scope::tenant, bytes, findings, warnings);
  if (!findings.empty())
    throw std::runtime_error(findings.front().message);
  return revision;
}

Revision revision_of(RevisionNumber number) {
  return revision_of(number, fmt::format("-- migrate:up\nCREATE TABLE t{0} ();\n"
                                         "-- migrate:down\nDROP TABLE t{0};\n",
                                         number));
}

Revision repeatable_of(const std::string& name, const std::string& bytes) {
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  Revision repeatable =
      read_repeatable("repeatable/" + name + ".sql", Scope::tenant, bytes, findings, warnings);
  if (!findings.empty())
    throw std::runtime_error(findings.front().message);
  return repeatable;
}

RevisionFolder folder_of(const std::vector<RevisionNumber>& numbers) {
  std::vector<Revision> revisions;
  for (const RevisionNumber number : numbers)
    revisions.push_back(revision_of(number));
  return {Scope::tenant, std::move(revisions)};
}

History applied(const RevisionFolder& folder, const std::vector<RevisionNumber>& numbers) {
  History history;
  for (const RevisionNumber number : numbers) {
    const Revision* revision = folder.find(number);
    if (revision == nullptr)
      throw std::runtime_error(fmt::format("no revision {}", number));
    AppliedRevision row;
    row.number = number;
    row.name = revision->title();
    row.checksum = revision->checksum;
    history.push_back(std::move(row));
  }
  rechain(history);
  return history;
}

std::vector<RevisionNumber> numbers_of(const History& history) {
  std::vector<RevisionNumber> numbers;
  for (const AppliedRevision& row : history)
    numbers.push_back(row.number);
  return numbers;
}

void send_row(const pq::Message& message, const Fields& fields) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(
      PQmakeEmptyPGresult(nullptr, PGRES_SINGLE_TUPLE), &PQclear);
  std::string name = "column";
  std::vector<PGresAttDesc> columns(fields.size());
  for (PGresAttDesc& column : columns)
    column.name = name.data();
  PQsetResultAttrs(result.get(), static_cast<int>(columns.size()), columns.data());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string value = fields[i].value_or("");
    PQsetvalue(result.get(), 0, static_cast<int>(i), fields[i] ? value.data() : nullptr,
               fields[i] ? static_cast<int>(value.size()) : -1);
  }
  message.on_row(pq::Row(result.get()));
}

void send_rows(const pq::Message& message, const History& history) {
  for (const AppliedRevision& row : history) {
    const bool applied = row.state == RowState::applied;
    const std::string progress = fmt::format("{}:{}", row.reverting ? "down" : "up", row.confirmed);
    send_row(message, {fmt::to_string(row.position), fmt::to_string(row.number), row.name,
                       row.checksum, row.digest, std::string(to_text(row.state)),
                       applied ? std::nullopt : std::optional(progress),
                       applied ? std::nullopt : std::optional(row.statement_digest),
                       row.failed ? std::optional<std::string>("42P01") : std::nullopt,
                       row.run_id.empty() ? std::nullopt : std::optional(row.run_id)});
  }
}

pq::FlightAnswer agreement(const Segment& segment) {
  pq::FlightAnswer answer;
  for (const pq::Message& message : segment.messages) {
    pq::Answer one;
    one.kind = pq::Answer::Kind::done;
    one.tag = message.sql.substr(0, message.sql.find(' '));
    answer.answers.push_back(std::move(one));
  }
  return answer;
}

pq::FlightAnswer rejection(const Segment& segment, std::size_t index,
                           const pq::ServerFields& error) {
  pq::FlightAnswer answer = agreement(segment);
  answer.answers.at(index) = {.kind = pq::Answer::Kind::failed, .tag = {}, .error = error};
  for (std::size_t i = index + 1; i < answer.answers.size(); ++i)
    answer.answers[i] = {};
  answer.in_failed_transaction = index > 0;
  return answer;
}

std::size_t index_of(const Segment& segment, Part part) {
  for (std::size_t i = 0; i < segment.origins.size(); ++i) {
    if (segment.origins[i].part == part)
      return i;
  }
  throw std::runtime_error("no message for this part");
}

pq::FlightAnswer rejection(const Segment& segment, Part part, const pq::ServerFields& error) {
  return rejection(segment, index_of(segment, part), error);
}

pq::ServerFields server_error(std::string_view sqlstate, std::string message) {
  pq::ServerFields error;
  error.sqlstate = sqlstate;
  error.message = std::move(message);
  // Our own refusals arrive as a cast that failed.
  if (sqlstate.starts_with("TC")) {
    error.sqlstate = "22P02";
    error.message = fmt::format("invalid input syntax for type integer: \"tenantctl {}: {}\"",
                                sqlstate, error.message);
  }
  return error;
}

}  // namespace tenantctl::testing
