#include "support/database.h"

#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace tenantctl::testing {
namespace {

// Also distinct from what a killed test with the same process id may have left behind.
std::string unique_name() {
  static std::atomic<int> counter{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return "tenantctl_test_" + std::to_string(::getpid()) + "_" + std::to_string(++counter) + "_" +
         std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (std::isalnum(byte) != 0 || std::string_view("-._~").find(character) != std::string::npos) {
      encoded += character;
    } else {
      encoded += {'%', digits[byte >> 4U], digits[byte & 0x0FU]};
    }
  }
  return encoded;
}

std::string field(const PGresult* result, int row, int column) {
  return {PQgetvalue(result, row, column),
          static_cast<std::size_t>(PQgetlength(result, row, column))};
}

}  // namespace

void TestDatabase::Close::operator()(pg_conn* connection) const { PQfinish(connection); }
void TestDatabase::Close::operator()(pg_result* result) const { PQclear(result); }

TestDatabase::TestDatabase() : name_(unique_name()) {
  const auto server = open("dbname=postgres");
  // template0: template1 cannot be copied while somebody is connected to it.
  run(server, "CREATE DATABASE " + name_ + " TEMPLATE template0 ENCODING 'UTF8'");
  connection_ = open("dbname=" + name_);
}

TestDatabase::~TestDatabase() {
  connection_.reset();
  try {
    const auto server = open("dbname=postgres");
    run(server, "DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
    if (!role_.empty()) {
      run(server, "DROP ROLE IF EXISTS " + role_);
    }
  } catch (const std::exception& error) {
    // A test may have stopped the server on purpose; then there is nothing left to drop.
    std::fprintf(stderr, "database %s stays: %s\n", name_.c_str(), error.what());
  }
}

const std::string& TestDatabase::second_role() {
  if (role_.empty()) {
    const std::string role = name_ + "_role";
    execute("CREATE ROLE " + role + " LOGIN PASSWORD '" + role + "'");
    role_ = role;
  }
  return role_;
}

std::string TestDatabase::conninfo_as(const std::string& role) const {
  const auto* const connection = connection_.get();
  const std::string user = role.empty() ? PQuser(connection) : role;
  const char* const own_password = PQpass(connection);
  std::string password = role.empty() && own_password != nullptr ? own_password : "";
  if (!role.empty() && role == role_) {
    password = role_;
  }
  std::string uri = "postgresql://" + percent_encoded(user);
  if (!password.empty()) {
    uri += ":" + percent_encoded(password);
  }
  if (const char* const pooler = std::getenv("TENANTCTL_TEST_POOLER"); pooler != nullptr) {
    return pooled_conninfo(uri + "@/" + percent_encoded(name_), pooler);
  }
  // The host as a parameter: a socket's folder cannot stand before the database.
  return uri + "@/" + percent_encoded(name_) + "?host=" + percent_encoded(PQhost(connection)) +
         "&port=" + PQport(connection);
}

std::string pooled_conninfo(const std::string& conninfo, const std::string& pooler) {
  const auto at = conninfo.find('@');
  const auto path = conninfo.find('/', at);
  return conninfo.substr(0, at + 1) + pooler + conninfo.substr(path, conninfo.find('?') - path) +
         "?sslmode=disable&gssencmode=disable";
}

bool is_pooled() { return std::getenv("TENANTCTL_TEST_POOLER") != nullptr; }

void TestDatabase::reconnect() {
  for (int tries = 0;; ++tries) {
    try {
      connection_ = open("dbname=" + name_);
      return;
    } catch (const std::runtime_error&) {
      if (tries == 100)
        throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

void TestDatabase::execute(const std::string& sql) { run(connection_, sql); }

std::string TestDatabase::value(const std::string& sql) {
  const auto result = run(connection_, sql);
  if (PQntuples(result.get()) == 0 || PQnfields(result.get()) == 0) {
    throw std::runtime_error("no row from: " + sql);
  }
  return field(result.get(), 0, 0);
}

std::vector<std::vector<std::string>> TestDatabase::rows(const std::string& sql) {
  const auto result = run(connection_, sql);
  std::vector<std::vector<std::string>> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    auto& fields = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      fields.push_back(field(result.get(), row, column));
    }
  }
  return rows;
}

TestDatabase::Connection TestDatabase::open(const std::string& conninfo) {
  Connection connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    throw std::runtime_error(std::string("no server for the test (run it by scripts/test): ") +
                             PQerrorMessage(connection.get()));
  }
  // NOTICEs would stand between the lines of the test's report.
  PQsetNoticeReceiver(
      connection.get(), [](void*, const PGresult*) {}, nullptr);
  // What the tool is to get along with (scripts/test --hostile) is not the test's own concern.
  run(connection, "SET statement_timeout = 0");
  run(connection,
      "SELECT set_config(name, boot_val, false) FROM pg_settings "
      "WHERE source IN ('database', 'user', 'database user', 'global') "
      "AND name NOT IN ('role', 'client_encoding', 'lc_messages', 'statement_timeout')");
  run(connection, "SET client_encoding = 'UTF8'");
  return connection;
}

TestDatabase::Result TestDatabase::run(const Connection& connection, const std::string& sql) {
  Result result(PQexec(connection.get(), sql.c_str()));
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
    throw std::runtime_error(PQerrorMessage(connection.get()) + ("in: " + sql));
  }
  return result;
}

}  // namespace tenantctl::testing
