#include "pq/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <regex>

#include "pq/conninfo.h"

namespace tenantctl::pq {
namespace {

using namespace std::chrono_literals;

// A password with a slash in it ends the host early: `u:s3c/ret@h` is host u, port s3c, which libpq
// prints when it finds no number there, or connects to when it does.
bool is_misread(const std::string& url, const Conninfo& parsed) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string::npos) {
    const std::string rest = url.substr(scheme + 3, url.find('?') - scheme - 3);
    const std::size_t at = rest.rfind('@');
    if (at != std::string::npos && rest.find('/') < at) {
      return true;
    }
  }
  return parsed.value("port").find_first_not_of("0123456789,") != std::string::npos ||
         parsed.value("host").find('@') != std::string::npos;
}

// libpq's own words for a bad connection string quote parts of it, passwords included (tried:
// `u:s3c/ret@h` prints "s3c"), so they are dropped.
void refuse_unusable(const std::string& url) {
  const ConninfoForm form = form_of(url);
  if (form == ConninfoForm::name) {
    return;
  }
  const Conninfo parsed = Conninfo::parse(url);
  if (form == ConninfoForm::lacks_scheme || !parsed.is_readable() || is_misread(url, parsed)) {
    throw ConnectFailed("the connection string cannot be read",
                        "Write it as postgresql://user@host:port/database (percent-encode special "
                        "characters) or as keyword=value pairs; a password belongs in .pgpass.",
                        "");
  }
}

void drop_notice(void* /*unused*/, const PGresult* /*unused*/) {}

// With verbose errors a refused connection reads `FATAL:  53300: sorry, too many clients already`:
// the only way to a SQLSTATE while connecting.
ConnectFailed connect_failure(PGconn* connection) {
  std::string text = PQerrorMessage(connection);
  std::string sqlstate;
  std::smatch found;
  static const std::regex code(R"((\w+):  ([0-9A-Z]{5}): )");
  if (std::regex_search(text, found, code)) {
    sqlstate = found[2];
    text = text.substr(0, static_cast<std::size_t>(found.position(2))) +
           text.substr(static_cast<std::size_t>(found.position(2)) + 7);
  }
  const std::size_t location = text.find("\nLOCATION:");
  if (location != std::string::npos) {
    text.resize(location);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  std::string hint =
      "Check DATABASE_URL, --database-url or the PG* variables, and that the server runs.";
  if (sqlstate == "53300") {
    hint = "All connection slots are taken: use fewer --jobs or wait.";
  }
  return {"cannot connect: " + text, hint, sqlstate};
}

}  // namespace

void Connection::Closer::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection Connection::start(const ConnectOptions& options) {
  refuse_unusable(options.url);
  // libpq reads the first dbname that has a value as a connection string, the second as a name. In
  // front of a name alone stands a string that says nothing, or the name could be taken for one.
  const std::string& second = options.database;
  const std::string first =
      options.url.empty() && !second.empty() ? "fallback_application_name=tenantctl" : options.url;
  // keepalives and tcp_user_timeout bound the wait for a peer that vanished without a word. In
  // front of dbname: what the connection string says about them holds.
  const std::array<const char*, 10> names{"keepalives_idle",  "keepalives_interval",
                                          "keepalives_count", "tcp_user_timeout",
                                          "dbname",           "fallback_application_name",
                                          "client_encoding",  "application_name",
                                          "dbname",           nullptr};
  const std::array<const char*, 10> values{"30",
                                           "10",
                                           "3",
                                           "60000",
                                           first.empty() ? nullptr : first.c_str(),
                                           "tenantctl",
                                           "UTF8",
                                           options.application_name.c_str(),
                                           second.empty() ? nullptr : second.c_str(),
                                           nullptr};
  Connection connection(PQconnectStartParams(names.data(), values.data(), 1), options.role);
  if (connection.handle() == nullptr) {
    throw ConnectFailed("out of memory", "", "");
  }
  PQsetErrorVerbosity(connection.handle(), PQERRORS_VERBOSE);
  PQsetNoticeReceiver(connection.handle(), drop_notice, nullptr);
  if (PQstatus(connection.handle()) == CONNECTION_BAD) {
    throw connect_failure(connection.handle());
  }
  return connection;
}

Connection Connection::open(const ConnectOptions& options) {
  const Deadline deadline = Clock::now() + options.timeout;
  Connection connection = start(options);
  Progress progress = Progress::writing;
  while (progress != Progress::ready) {
    if (!wait_for(connection.socket(), progress == Progress::writing, deadline)) {
      throw ConnectFailed(
          fmt::format("cannot connect: no answer within {} s", options.timeout / 1000ms),
          "Check host and port, or give more time with --connect-timeout.", "");
    }
    progress = connection.advance();
  }
  return connection;
}

// NOLINTNEXTLINE(readability-make-member-function-const): the session changes
Connection::Progress Connection::advance() {
  switch (PQconnectPoll(handle())) {
    case PGRES_POLLING_READING:
      return Progress::reading;
    case PGRES_POLLING_WRITING:
      return Progress::writing;
    case PGRES_POLLING_OK:
      PQsetErrorVerbosity(handle(), PQERRORS_DEFAULT);
      return Progress::ready;
    default:
      throw connect_failure(handle());
  }
}

int Connection::socket() const { return PQsocket(handle()); }
int Connection::backend_pid() const { return PQbackendPID(handle()); }
int Connection::server_version() const { return PQserverVersion(handle()); }
std::string Connection::database() const { return PQdb(handle()); }
std::string Connection::user() const { return PQuser(handle()); }

std::vector<std::pair<std::string, std::string>> Connection::environment() const {
  std::vector<std::pair<std::string, std::string>> variables;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> used(PQconninfo(handle()),
                                                                          &PQconninfoFree);
  for (const PQconninfoOption* o = used.get(); o != nullptr && o->keyword != nullptr; ++o) {
    // A service was looked up already, and would be stronger than what it was overridden with.
    const bool is_service = std::string_view(o->keyword) == "service";
    if (o->envvar != nullptr && o->val != nullptr && *o->val != '\0' && !is_service)
      variables.emplace_back(o->envvar, o->val);
  }
  return variables;
}

bool Connection::is_encrypted() const { return PQsslInUse(handle()) != 0; }

std::string Connection::parameter(const std::string& name) const {
  const char* value = PQparameterStatus(handle(), name.c_str());
  return value == nullptr ? "" : value;
}

std::string Connection::host() const {
  const char* host = PQhost(handle());
  return host == nullptr ? "" : host;
}

bool Connection::is_local() const {
  const std::string name = host();
  return name.empty() || name.starts_with('/') || name.starts_with('@') || name == "localhost" ||
         name.starts_with("127.") || name == "::1";
}

bool wait_for(int socket, bool write, Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  if (left <= 0) {
    return false;
  }
  // Reading is always of interest: a server that cannot send does not read either.
  const int events = write ? POLLIN | POLLOUT : POLLIN;
  pollfd entry{.fd = socket, .events = static_cast<short>(events), .revents = 0};
  const int timeout = static_cast<int>(std::min<std::int64_t>(left, 3'600'000));
  return ::poll(&entry, 1, timeout) != 0;
}

}  // namespace tenantctl::pq
