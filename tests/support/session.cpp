#include "support/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "pq/session_options.h"
#include "pq/transaction.h"
#include "rollout/standing.h"

namespace tenantctl::testing {
namespace {

using namespace std::chrono_literals;

Migrator migrator_of(const SchemaName& name, const Plan& plan, const MigrateOptions& options) {
  return {name, plan, options};
}

// As the product starts its sessions; the pooler of the tests takes no options.
std::string own_url(const std::string& url, bool superuser) {
  static const int version = pq::Connection::open({.url = url}).server_version();
  return is_pooled() ? url : pq::with_session_options(url, pq::session_options(version, superuser));
}

}  // namespace

pq::Deadline soon() { return pq::Clock::now() + 30s; }

std::vector<pq::Message> messages(const std::vector<std::string>& statements) {
  std::vector<pq::Message> messages;
  for (const std::string& sql : statements)
    messages.push_back({.sql = sql});
  return messages;
}

Revision revision(RevisionNumber number, const std::string& up, const std::string& down,
                  const std::string& options) {
  std::string text = fmt::format("-- migrate:up {}\n{}\n", options, up);
  if (!down.empty())
    text += fmt::format("-- migrate:down {}\n{}\n", options, down);
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  Revision revision = read_revision(fmt::format("versions/{:04}_r{}.sql", number, number),
                                    Scope::tenant, std::move(text), findings, warnings);
  if (!findings.empty())
    throw std::runtime_error("the test's revision is not one: " + findings.front().message);
  return revision;
}

Revision autocommit_revision(RevisionNumber number, const std::string& up,
                             const std::string& down) {
  return revision(number, up, down, "transaction:false");
}

bool is_same(const History& one, const History& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const AppliedRevision& a, const AppliedRevision& b) {
                      return a.position == b.position && a.number == b.number && a.name == b.name &&
                             a.checksum == b.checksum && a.digest == b.digest && a.state == b.state;
                    });
}

void forge(Plan& plan, Revision& unchecked) {
  Step& step = plan.steps.back();
  unchecked.checksum = step.revision->checksum;
  step.revision = &unchecked;
}

Session::Session(const TestDatabase& database, const std::string& role)
    : connection_(pq::Connection::open(
          {.url = own_url(role.empty() ? database.conninfo() : database.conninfo_as(role),
                          role.empty())})),
      pipeline_(connection_) {
  send(pq::session_settings(connection_.server_version()));
  execute("SET search_path = public");
}

pq::FlightAnswer Session::send(std::vector<pq::Message> flight) {
  return pipeline_.wait_for_answer(std::move(flight), soon());
}

pq::FlightAnswer Session::send_sql(const std::vector<std::string>& statements) {
  return send(messages(statements));
}

void Session::execute(const std::string& sql) {
  const pq::FlightAnswer answer = send_sql({sql});
  if (const pq::Answer* failure = answer.failure())
    throw pq::ServerError(*failure->error);
}

Outcome Session::migrate(const std::string& schema, const Plan& plan, const MigrateOptions& options,
                         std::size_t segments) {
  const SchemaName name = SchemaName::existing(schema);
  Migrator migrator = migrator_of(name, plan, options);
  if (options.direct)
    send(session_setup(options));
  for (std::size_t sent = 0; sent < segments; ++sent) {
    auto segment = migrator.next();
    if (!segment)
      break;
    const pq::FlightAnswer answer = send(std::move(segment->messages));
    pq::end_transaction(pipeline_, answer, soon());
    if (segment->discards && options.direct)
      send(session_setup(options));
    if (segment->holds_lock && answer.failure() != nullptr)
      send_sql({VersionTable::unlock_all().sql});
    migrator.fold(answer);
  }
  if (migrator.leaves_traces())
    execute("DISCARD ALL");
  return migrator.outcome();
}

History Session::history(const std::string& schema) {
  return read_history(pipeline_, VersionTable(SchemaName::existing(schema), TableOptions{}),
                      soon());
}

Outcome Steps::fresh(std::string_view target) const {
  return session.migrate(schema,
                         plan_upgrade(folder, {}, Target::parse(target),
                                      {.allow_out_of_order = false, .missing = Missing::schema}),
                         options);
}

Outcome Steps::upgrade(std::string_view target, bool out_of_order) const {
  return session.migrate(schema,
                         plan_upgrade(folder, session.history(schema), Target::parse(target),
                                      {.allow_out_of_order = out_of_order}),
                         options);
}

Outcome Steps::downgrade(std::string_view target) const {
  return session.migrate(
      schema, plan_downgrade(folder, session.history(schema), Target::parse(target)), options);
}

}  // namespace tenantctl::testing
