#include "rollout/waves.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/error.h"
#include "rollout/sizing.h"

using namespace tenantctl;

namespace {

using Ends = std::vector<std::size_t>;

WaveOptions waves(const std::vector<std::string>& amounts, const std::string& canary = {}) {
  WaveOptions options;
  for (const std::string& amount : amounts)
    options.waves.push_back(Amount::parse(amount));
  if (!canary.empty())
    options.canary = Amount::parse(canary);
  return options;
}

ServerRoom room(std::size_t max_connections, std::size_t connections) {
  return {.max_connections = max_connections, .connections = connections, .lock_slots = 6'400};
}

}  // namespace

TEST_SUITE("rollout/waves") {
  TEST_CASE("an amount is a number or a share, which rounds up") {
    CHECK(Amount::parse("10").of(3) == 10);
    CHECK(Amount::parse("10%").of(1'000) == 100);
    CHECK(Amount::parse("10%").of(41) == 5);
    CHECK(Amount::parse("2%").at_most(1) == 0);
    CHECK(Amount::parse("2%").at_most(100) == 2);
    CHECK(Amount::parse("5").at_most(1) == 5);
    CHECK(Amount::parse("0").of(41) == 0);
    CHECK(Amount::parse("0%").of(41) == 0);
    CHECK(Amount::parse("100%").of(41) == 41);
    for (const char* text : {"", "%", "ten", "-1", "1.5%", "101%", "10%%", "10 %", "1e3"}) {
      CAPTURE(text);
      CHECK_THROWS_AS(Amount::parse(text), UsageError);
    }
  }

  TEST_CASE("waves end where they say, and the last at the end") {
    CHECK(wave_ends(waves({}), 100, 0) == Ends{100});
    CHECK(wave_ends(waves({}, "1"), 100, 0) == Ends{1, 100});
    CHECK(wave_ends(waves({"1", "10%", "100%"}), 1'000, 0) == Ends{1, 100, 1'000});
    CHECK(wave_ends(waves({"10%"}, "3"), 1'000, 0) == Ends{3, 100, 1'000});
    CHECK(wave_ends(waves({"50%"}), 10, 2) == Ends{2, 5, 10});
  }

  TEST_CASE("a wave without schemas is none") {
    CHECK(wave_ends(waves({"1", "10%", "100%"}), 5, 0) == Ends{1, 5});
    CHECK(wave_ends(waves({"10", "5"}), 100, 0) == Ends{10, 100});
    CHECK(wave_ends(waves({"500"}, "200"), 100, 0) == Ends{100});
    CHECK(wave_ends(waves({"1", "10%"}, "1"), 0, 0).empty());
  }

  TEST_CASE("a run takes two connections a core where the server is, and half of what is free") {
    CHECK(choose_jobs(room(97, 3), true, 2) == 4);
    CHECK(choose_jobs(room(97, 3), true, 0) == 2);
    CHECK(choose_jobs(room(97, 3), true, 64) == 16);
    CHECK(choose_jobs(room(97, 3), false, 64) == 4);
    CHECK(choose_jobs(room(97, 91), true, 2) == 3);
    CHECK(choose_jobs(room(97, 97), true, 2) == 1);
  }

  TEST_CASE("together the schemas under way take at most half of the free locks") {
    const ServerRoom server{
        .max_connections = 97, .connections = 3, .lock_slots = 6'400, .locks = 400};
    CHECK(jobs_for_locks(server, 100) == 30);
    CHECK(jobs_for_locks(server, 3'000) == 1);
    CHECK(jobs_for_locks(server, 100'000) == 1);
    CHECK(jobs_for_locks(server, 0) == 3'000);
    CHECK(locks_text(server, 1'000, 3) ==
          "a schema takes 1000 locks at a time; the server's lock table has room for 6400 "
          "(max_locks_per_transaction times connections), 400 are taken, and half of the rest is "
          "left to others: 3 schemas at a time");
    const ServerRoom full{.lock_slots = 100, .locks = 120};
    CHECK(full.free_locks() == 0);
    CHECK(jobs_for_locks(full, 10) == 1);
  }

  TEST_CASE("more connections than can be had are refused with the arithmetic") {
    CHECK_NOTHROW(check_jobs(room(97, 90), 7));
    CHECK_THROWS_WITH_AS(check_jobs(room(97, 90), 8),
                         "8 connections cannot be had: the server takes 97 of ordinary roles, 90 "
                         "are in use, 7 are free",
                         UsageError);
    CHECK_THROWS_AS(check_jobs(room(97, 120), 1), UsageError);
  }
}
