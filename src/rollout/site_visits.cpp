#include "rollout/site_visits.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/number.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using Look = std::function<void(std::size_t, SiteSession&)>;

// The name would make a message of its own out of what is one cause for many databases.
std::string without_name(std::string message, const std::string& database) {
  const std::string named = fmt::format("database \"{}\"", database);
  for (std::size_t at = message.find(named); at != std::string::npos; at = message.find(named)) {
    message.replace(at, named.size(), "the database");
  }
  return message;
}

/// What the threads share: the next site, and the first error that is not a site's.
class Visits {
 public:
  Visits(const std::vector<pq::ConnectOptions>& sites, const Look& look)
      : sites_(sites), look_(look), problems_(sites.size()) {}

  void work() {
    for (std::size_t i = next_++; i < sites_.size(); i = next_++) {
      visit(i);
    }
  }

  std::vector<std::string> finish() {
    if (error_) {
      std::rethrow_exception(error_);
    }
    return std::move(problems_);
  }

 private:
  void visit(std::size_t i) {
    try {
      SiteSession session(sites_[i]);
      look_(i, session);
    } catch (const UsageError&) {
      keep(std::current_exception());
    } catch (const Error& error) {
      problems_[i] = without_name(error.what(), sites_[i].database);
    } catch (...) {
      keep(std::current_exception());
    }
  }

  // An exception must not end a thread: it would end the process.
  void keep(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!error_) {
      error_ = std::move(error);
    }
    next_ = sites_.size();
  }

  const std::vector<pq::ConnectOptions>& sites_;
  const Look& look_;
  std::vector<std::string> problems_;  ///< each written by the one thread that visits its site
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

SiteSession::SiteSession(const pq::ConnectOptions& site)
    : connection_(pq::Connection::open(site)), pipeline_(connection_) {
  bool standby = false;
  std::vector<pq::Message> messages =
      pq::session_settings(connection_.server_version(), connection_.backend_pid(), site.role);
  messages.push_back({.sql = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_backend_pid()",
                      .on_row = [&](const pq::Row& row) {
                        standby = row.text(0) == "t";
                        via_pooler_ = number_of<int>(row.text(1)) != connection_.backend_pid();
                      }});
  const pq::FlightAnswer answer =
      pipeline_.wait_for_answer(std::move(messages), pq::Clock::now() + site.timeout);
  if (const pq::Answer* failure = answer.failure()) {
    throw pq::ServerError(*failure->error);
  }
  if (standby) {
    throw Error("the server is a standby: nothing can be written there", "Name the primary.");
  }
}

// Threads, and no poll loop as a rollout's: what is looked at is read by functions that wait for
// their answers, and a thread shares nothing with another but the list of what is left.
std::vector<std::string> visit_sites(const std::vector<pq::ConnectOptions>& sites,
                                     std::size_t connections, const Look& look) {
  Visits visits(sites, look);
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min(connections, sites.size()); ++i) {
    threads.emplace_back([&visits] { visits.work(); });
  }
  visits.work();
  threads.clear();
  return visits.finish();
}

}  // namespace tenantctl
