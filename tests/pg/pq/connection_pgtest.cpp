#include "pq/connection.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "pq/cancel_request.h"
#include "pq/conninfo.h"
#include "pq/session_options.h"
#include "support/database.h"
#include "support/descriptor.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

struct Refused {
  std::string text;
  std::string sqlstate;
};

Refused refused(const std::string& url, std::chrono::milliseconds timeout = 5s) {
  try {
    pq::Connection::open({.url = url, .timeout = timeout});
  } catch (const pq::ConnectFailed& error) {
    return {error.what() + ("\n" + error.hint()), error.sqlstate()};
  }
  return {};
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Takes connections and never says a word.
class SilentServer {
 public:
  explicit SilentServer(int backlog = 8) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(socket_.number(), generic, size) == 0);
    REQUIRE(::listen(socket_.number(), backlog) == 0);
    REQUIRE(::getsockname(socket_.number(), generic, &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  std::string url() const {
    return "postgresql://u:s3cret@127.0.0.1:" + std::to_string(port_) + "/d?sslmode=disable";
  }
  void stop() { socket_.close(); }

 private:
  Descriptor socket_;
  int port_ = 0;
};

}  // namespace

TEST_SUITE("pg/pq/connection") {
  TEST_CASE("a bad connection string is refused without showing any of it") {
    for (const std::string url :
         {"postgresql://u:s3c/ret@h", "postgresql://u:s3c/ret@h/d",
          "postgresql://u:s3cret@h:port/d", "postgres://u:s3cret@[h/d",
          "postgresql://u:s3cret@h/d?nosuch=1", "host=h password=s3cret nosuch=1",
          "host=h password='s3cret", "postgresql://u:s3c%zzret@h/d", "password=s3cret host",
          "postgresql://u:s3c", "postgresql://u:12/s3c@h/d"}) {
      CAPTURE(url);
      const Refused answer = refused(url);
      CHECK_FALSE(answer.text.empty());
      CHECK_FALSE(holds(answer.text, "s3c"));
      CHECK_FALSE(holds(answer.text, "ret@"));
      CHECK_FALSE(holds(answer.text, "s3cret"));
    }
  }

  TEST_CASE("an unknown database and an unknown role come with their SQLSTATE") {
    TestDatabase database;
    std::string url = database.conninfo();
    url.replace(url.find(database.name()), database.name().size(), "no_such_database");
    const Refused unknown = refused(url);
    CHECK(unknown.sqlstate == "3D000");
    CHECK(holds(unknown.text, "\"no_such_database\" does not exist"));
    CHECK_FALSE(holds(unknown.text, "3D000: "));
    CHECK_FALSE(holds(unknown.text, "LOCATION"));

    CHECK(refused(database.conninfo_as("no_such_role")).sqlstate == "28000");
  }

  TEST_CASE("no server at the port, and no socket in the folder") {
    SilentServer server;
    server.stop();
    const Refused port = refused(server.url());
    CHECK(port.sqlstate.empty());
    CHECK(holds(port.text, "refused"));
    CHECK_FALSE(holds(port.text, "s3cret"));
    CHECK(holds(refused("host=/nonexistent dbname=d").text, "/nonexistent"));
  }

  TEST_CASE("a server that never answers is given up at the deadline") {
    const SilentServer server;
    const auto begin = pq::Clock::now();
    const Refused answer = refused(server.url(), 300ms);
    CHECK(holds(answer.text, "no answer"));
    CHECK_FALSE(holds(answer.text, "s3cret"));
    CHECK(pq::Clock::now() - begin >= 300ms);
    CHECK(pq::Clock::now() - begin < 3s);
  }

  TEST_CASE("an open connection tells whom it speaks to") {
    TestDatabase database;
    Session session(database);
    CHECK(session.connection().database() == database.name());
    CHECK(session.connection().user() == database.value("SELECT current_user"));
    CHECK(session.connection().server_version() / 10'000 >= 13);
    CHECK(session.connection().is_local());
    CHECK_FALSE(session.connection().is_encrypted());
    CHECK(session.connection().parameter("client_encoding") == "UTF8");
    CHECK(session.connection().parameter("no_such_parameter").empty());
    CHECK(database.value("SELECT application_name FROM pg_stat_activity WHERE pid = " +
                         std::to_string(session.connection().backend_pid())) == "tenantctl");
  }

  TEST_CASE("cancel ends the running statement and nothing else") {
    TestDatabase database;
    Session session(database);
    session.pipeline().send(messages({"SELECT pg_sleep(30)"}));
    pq::CancelRequest cancel;
    std::thread other([&] {
      std::this_thread::sleep_for(200ms);
      cancel.send(session.connection());
    });
    const auto begin = pq::Clock::now();
    CHECK(session.send_sql({"SELECT 1"}).failure() == nullptr);
    other.join();
    CHECK(pq::Clock::now() - begin < 10s);
    const auto slept = session.pipeline().take();
    REQUIRE(slept);
    REQUIRE(slept->failure() != nullptr);
    CHECK(slept->failure()->error->is("57014"));
    CHECK_NOTHROW(session.execute("SELECT 1"));
  }

  TEST_CASE("the sslmode is the one that libpq would use") {
    CHECK(pq::ssl_mode("postgresql://h/d?sslmode=verify-full") == "verify-full");
    CHECK(pq::ssl_mode("host=h sslmode=require") == "require");
    CHECK_FALSE(pq::ssl_mode("").empty());
  }

  TEST_CASE("what a session is started with is what RESET ALL leads to, beside the user's own") {
    TestDatabase database;
    database.execute("ALTER DATABASE " + database.name() + " SET search_path = public");
    const std::string own = database.conninfo() + "&options=-c%20work_mem%3D3MB";
    auto connection = pq::Connection::open(
        {.url = pq::with_session_options(own,
                                         "-c search_path=pg_catalog,\\ pg_temp -c "
                                         "lock_timeout=7s")});
    pq::Pipeline pipeline(connection);
    std::string seen;
    auto flight = messages({"SET search_path = public", "SET work_mem = '9MB'", "RESET ALL"});
    flight.push_back({.sql = "SELECT current_setting('search_path') || '; ' || "
                             "current_setting('work_mem') || '; ' || "
                             "current_setting('lock_timeout')",
                      .on_row = [&](const pq::Row& row) { seen = row.text(0); }});
    CHECK(pipeline.wait_for_answer(std::move(flight), soon()).failure() == nullptr);
    CHECK(seen == "pg_catalog, pg_temp; 3MB; 7s");
  }

  TEST_CASE("options are added to a connection string of any form, and to none that is unusable") {
    CHECK(pq::session_options(150000, false, "an owner").ends_with(" -c role=an\\ owner"));
    CHECK(pq::with_session_options("postgresql://u@h/d", "-c a=1") ==
          "postgresql://u@h/d?options=%2D%63%20%61%3D%31");
    CHECK(pq::with_session_options("postgresql://u:?@h/d?port=1", "-c a=1") ==
          "postgresql://u:?@h/d?port=1&options=%2D%63%20%61%3D%31");
    CHECK(pq::with_session_options("host=h options=-c\\ b=2", "-c a=1") ==
          "host=h options=-c\\ b=2 options='-c b=2 -c a=1'");
    CHECK(pq::with_session_options("it's", "-c a=1") == "dbname='it\\'s' options='-c a=1'");
    CHECK(pq::with_session_options("", "-c a=1") == " options='-c a=1'");
    for (const char* unusable : {"me:s3cret@h", "postgresql://u:%zz@h/d"})
      CHECK(pq::with_session_options(unusable, "-c a=1") == unusable);
  }
}
