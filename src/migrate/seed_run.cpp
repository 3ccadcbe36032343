#include "migrate/seed_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "migrate/failure.h"
#include "migrate/plan.h"
#include "migrate/segment_writer.h"
#include "pq/cancel_request.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;

// A seed takes as long as it takes (--statement-timeout); a connection that died TCP notices.
constexpr auto patience = 24h;

constexpr std::string_view begin_seeds = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

// Values of $1 ... must not reach the server's log, as far as the role may say so.
pq::Message hide_values(int server_version) {
  const std::string_view may =
      server_version >= 150000
          ? "pg_catalog.has_parameter_privilege('log_parameter_max_length', 'SET')"
          : "(SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname "
            "OPERATOR(pg_catalog.=) CURRENT_USER)";
  return {.sql = fmt::format(
              "SELECT pg_catalog.set_config('log_parameter_max_length_on_error', '0', true), "
              "CASE WHEN {} THEN pg_catalog.set_config('log_parameter_max_length', '0', true) END",
              may)};
}

const pq::ServerFields* error_of(const pq::FlightAnswer& answer, std::size_t& index) {
  for (index = 0; index < answer.answers.size(); ++index) {
    if (answer.answers[index].error) {
      return &*answer.answers[index].error;
    }
  }
  return nullptr;
}

std::string with_escapes(std::string_view value, std::string_view escaped, char escape) {
  std::string text;
  for (const char c : value) {
    if (escaped.find(c) != std::string_view::npos) {
      text += escape;
    }
    text += c;
  }
  return text;
}

// A message may quote a piece of a value alone: the token of a JSON text that is wrong.
std::string without_pieces(std::string text, const SeedValues& values) {
  constexpr std::size_t shortest = 3;
  std::size_t from = text.find('"');
  while (from != std::string::npos) {
    const std::size_t to = text.find('"', from + 1);
    if (to == std::string::npos) {
      break;
    }
    const std::string piece = text.substr(from + 1, to - from - 1);
    const auto holder = std::ranges::find_if(values, [&piece](const auto& value) {
      return piece.size() >= shortest && value.second.find(piece) != std::string::npos;
    });
    if (holder != values.end()) {
      const std::string shown = fmt::format("\"<{}>\"", holder->first);
      text.replace(from, to - from + 1, shown);
      from = text.find('"', from + shown.size());
    } else {
      from = text.find('"', to + 1);
    }
  }
  return text;
}

void put_back(std::vector<pq::Message>& messages, const MigrateOptions& options) {
  messages.push_back(
      {.sql = fmt::format("SELECT pg_catalog.set_config('session_authorization', NULL, false), "
                          "pg_catalog.set_config('role', NULL, false){}, "
                          "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)",
                          pq::and_act_as(options.role, !options.direct))});
}

}  // namespace

SeedFailed::SeedFailed(Verdict verdict, Failure failure)
    : Error(failure.message, failure.hint, failure.place),
      verdict_(verdict),
      failure_(std::move(failure)) {}

SeedRun::SeedRun(pq::Pipeline& pipeline, const MigrateOptions& options, const SeedValues& values,
                 std::function<bool()> is_stopped)
    : pipeline_(pipeline), options_(options), values_(values), is_stopped_(std::move(is_stopped)) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::string(begin_seeds)});
  messages.push_back(
      {.sql =
           fmt::format("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true){}",
                       pq::and_act_as(options.role, true))});
  run(std::move(messages));
}

SeedRun::~SeedRun() {
  if (!open_ || pipeline_.is_lost()) {
    return;
  }
  try {
    std::vector<pq::Message> rollback;
    rollback.push_back({.sql = "ROLLBACK"});
    if (options_.direct && leaves_traces_) {
      rollback.push_back(VersionTable::unlock_all());
    }
    pipeline_.wait_for_answer(std::move(rollback), pq::Clock::now() + 10s);
  } catch (const Error&) {
    // The server rolls back when the session ends.
    return;
  }
}

pq::FlightAnswer SeedRun::send(std::vector<pq::Message> messages) {
  pq::CancelRequest cancel;
  pipeline_.send(std::move(messages));
  const pq::Deadline until = pq::Clock::now() + patience;
  while (true) {
    if (auto answer = pipeline_.take()) {
      return std::move(*answer);
    }
    if (pq::Clock::now() >= until) {
      pipeline_.give_up();
      throw pq::ConnectionLost("no answer for 24 hours", {});
    }
    pq::wait_for(pipeline_.connection().socket(), pipeline_.wants_write(),
                 pq::Clock::now() + 500ms);
    if (is_stopped_()) {
      cancel.send(pipeline_.connection());
    }
    pipeline_.advance();
  }
}

void SeedRun::run(std::vector<pq::Message> messages) {
  const pq::FlightAnswer answer = send(std::move(messages));
  if (const pq::Answer* failure = answer.failure()) {
    throw pq::ServerError(*failure->error);
  }
}

void SeedRun::enter(const SeedTarget& target, const SeedTable& table, SeedTable::Found& found) {
  std::vector<pq::Message> messages;
  messages.push_back(fence(VersionTable(target.schema, options_.table), options_));
  messages.push_back(table.look(found));
  std::size_t index = 0;
  const pq::FlightAnswer answer = send(std::move(messages));
  if (const pq::ServerFields* error = error_of(answer, index)) {
    fail(*error, Part::fence);
  }
  if (found == SeedTable::Found::foreign) {
    throw SeedFailed(
        Verdict::foreign,
        {.message = fmt::format("table {} is not ours alone", escaped_name(table.name())),
         .hint = "Look at its owner, at triggers and rules; --owner names roles to trust.",
         .sqlstate = {},
         .revision = {},
         .place = std::nullopt});
  }
}

void SeedRun::make_table(const SeedTable& table) {
  std::vector<std::string> grantees;
  for (const bool closes : {false, true}) {
    std::vector<pq::Message> messages = closes ? table.settle(grantees) : table.create(grantees);
    if (messages.empty()) {
      return;
    }
    std::size_t index = 0;
    const pq::FlightAnswer answer = send(std::move(messages));
    if (const pq::ServerFields* error = error_of(answer, index)) {
      fail(*error, Part::install);
    }
  }
}

pq::Message SeedRun::parameters(const SeedTarget& target, const Revision& seed) const {
  pq::Message message{.sql =
                          "SELECT pg_catalog.set_config('tenantctl.tenant_id', $1, true), "
                          "pg_catalog.set_config('tenantctl.param_tenant_id', $1, true), "
                          "pg_catalog.set_config('tenantctl.param_tenant_slug', $2, true), "
                          "pg_catalog.set_config('tenantctl.param_tenant_name', $3, true), "
                          "pg_catalog.set_config('tenantctl.param_tenant_tier', $4, true), "
                          "pg_catalog.set_config('tenantctl.param_tenant_metadata', "
                          "($5::pg_catalog.jsonb OPERATOR(pg_catalog.-) "
                          "'tenantctl'::pg_catalog.text)::pg_catalog.text, true)",
                      .values = {target.id, target.slug, target.name, target.tier,
                                 target.metadata.empty() ? "{}" : target.metadata}};
  for (const Parameter& parameter : seed.parameters) {
    const auto given = values_.find(parameter.name);
    if (given == values_.end() && !parameter.preset) {
      throw UsageError(fmt::format("seed {} needs parameter {}", seed.title(), parameter.name));
    }
    message.values.emplace_back(given != values_.end() ? given->second : *parameter.preset);
    message.sql += fmt::format(", pg_catalog.set_config('tenantctl.param_{}', ${}, true)",
                               parameter.name, message.values.size());
  }
  return message;
}

void SeedRun::apply(const SeedTarget& target, const SeedTable& table, const Revision& seed) {
  const Section& section = seed.up;
  const sql::Variables variables = variables_of(target.schema, options_);
  leaves_traces_ = leaves_traces_ || may_leave_traces(section);
  std::vector<pq::Message> messages;
  messages.push_back(sql_settings(options_, seed.lock_timeout.value_or(options_.lock_timeout),
                                  search_path_of(target.schema, target.scope, options_)));
  messages.push_back(hide_values(options_.server_version));
  messages.push_back(parameters(target, seed));
  messages.push_back(table.insert(target.key(), seed));
  const std::size_t first = messages.size();
  const auto& statements = section.script.statements();
  for (const sql::Statement& statement : statements) {
    messages.push_back({.sql = section.script.rendered(statement, variables)});
  }
  put_back(messages, options_);
  messages.push_back(table.untouched(target.key(), seed));
  std::size_t index = 0;
  const pq::FlightAnswer answer = send(std::move(messages));
  const pq::ServerFields* error = error_of(answer, index);
  if (error == nullptr) {
    return;
  }
  const bool is_its_own = index >= first && index < first + statements.size();
  const auto refusal = is_its_own ? std::nullopt : own_refusal(*error);
  const std::string text =
      (refusal ? std::string(refusal->message) : error->message) + detail_of(*error);
  throw SeedFailed(
      verdict_of(*error, is_its_own ? Part::statement : Part::close),
      {.message = fmt::format("seed {} failed: {}", seed.title(), without_values(text)),
       .hint = without_values(hint_of(*error)),
       .sqlstate = error->sqlstate,
       .revision = seed.title(),
       .place = is_its_own ? place_of_error(*error, {.revision = seed, .section = section},
                                            index - first, variables)
                           : Place{.file = seed.file, .line = 0, .column = 0, .text = {}}});
}

SeedOutcome SeedRun::seed(const SeedTarget& target, const std::vector<const Revision*>& seeds) {
  const SeedTable table(target.schema, options_.table);
  SeedTable::Found found = SeedTable::Found::none;
  enter(target, table, found);
  std::vector<AppliedSeed> recorded;
  if (found == SeedTable::Found::ours) {
    std::vector<pq::Message> messages;
    messages.push_back(table.read(target.key(), recorded));
    run(std::move(messages));
  }
  SeedOutcome outcome;
  for (const Revision* seed : seeds) {
    const auto at = std::ranges::find(recorded, seed->title(), &AppliedSeed::name);
    if (at != recorded.end()) {
      if (at->checksum != seed->checksum) {
        outcome.edited.push_back(seed->title());
      }
      continue;
    }
    if (found == SeedTable::Found::none) {
      make_table(table);
      found = SeedTable::Found::ours;
    }
    apply(target, table, *seed);
    outcome.applied.push_back(seed->title());
  }
  return outcome;
}

void SeedRun::commit() {
  std::vector<pq::Message> messages;
  if (!options_.direct && leaves_traces_) {
    for (const char* sql : {"RESET ALL", "DISCARD TEMP", "UNLISTEN *", "CLOSE ALL"}) {
      messages.push_back({.sql = sql});
    }
    messages.push_back(VersionTable::unlock_all());
  }
  messages.push_back({.sql = "COMMIT"});
  std::size_t index = 0;
  const pq::FlightAnswer answer = send(std::move(messages));
  if (const pq::ServerFields* error = error_of(answer, index)) {
    fail(*error, Part::commit);
  }
  open_ = false;
  if (answer.answers.back().tag != "COMMIT") {
    throw Error(fmt::format("the server answered COMMIT with {}", answer.answers.back().tag));
  }
  if (options_.direct && leaves_traces_) {
    // Alone: DISCARD ALL stands in no transaction block, as a flight of several messages is one.
    std::vector<pq::Message> discard;
    discard.push_back(VersionTable::discard());
    run(std::move(discard));
    run(pq::session_settings(options_.server_version, 0, options_.role));
  }
}

// DETAIL quotes rows, and cuts what is long in them: no value is found there again.
std::string SeedRun::detail_of(const pq::ServerFields& error) const {
  if (error.detail.empty()) {
    return "";
  }
  return values_.empty() ? ": " + error.detail : " (its DETAIL may quote parameters: not shown)";
}

// Whatever the server quotes, a value is not for logs. What is shorter stands everywhere. A value
// that holds another goes first; JSON and literals write some of its bytes otherwise.
std::string SeedRun::without_values(std::string text) const {
  constexpr std::size_t shortest = 3;
  std::vector<std::pair<std::string, std::string>> hidden;
  for (const auto& [name, value] : values_) {
    if (value.size() < shortest) {
      continue;
    }
    for (const std::string& form :
         {value, with_escapes(value, "\\\"", '\\'), with_escapes(value, "'", '\'')}) {
      hidden.emplace_back(form, fmt::format("<{}>", name));
    }
  }
  std::ranges::stable_sort(hidden, [](const auto& one, const auto& other) {
    return one.first.size() > other.first.size();
  });
  for (const auto& [value, shown] : hidden) {
    for (std::size_t at = text.find(value); at != std::string::npos;
         at = text.find(value, at + shown.size())) {
      text.replace(at, value.size(), shown);
    }
  }
  return without_pieces(std::move(text), values_);
}

void SeedRun::fail(const pq::ServerFields& error, Part part) const {
  const auto refusal = own_refusal(error);
  const bool is_ours = part != Part::commit && refusal;
  const std::string text =
      (is_ours ? std::string(refusal->message) : error.message) + detail_of(error);
  const bool is_unversioned = is_ours && refusal->code == refusal::moved;
  throw SeedFailed(
      verdict_of(error, part),
      {.message = without_values(text),
       .hint = is_unversioned ? "Seeds run where revisions stand: upgrade the schema first."
                              : without_values(hint_of(error)),
       .sqlstate = is_ours ? std::string(refusal->code) : error.sqlstate,
       .revision = {},
       .place = std::nullopt});
}

}  // namespace tenantctl
