#include <doctest/doctest.h>

#include <initializer_list>
#include <regex>

#include "tenant/stored_texts.h"

using namespace tenantctl;

TEST_SUITE("tenant/stored_texts") {
  TEST_CASE("the pattern takes a name literally, and as a quoted identifier") {
    CHECK(word_pattern("acme") == "(^|[^[:alnum:]_$])(acme)($|[^[:alnum:]_$])");
    CHECK(word_pattern("a.b") == "(^|[^[:alnum:]_$])(a\\.b)($|[^[:alnum:]_$])");
    CHECK(word_pattern("a\"b") == "(^|[^[:alnum:]_$])(a\\\"b|a\\\"\\\"b)($|[^[:alnum:]_$])");
  }

  TEST_CASE("it finds whole words only") {
    const std::regex pattern(word_pattern("acme"), std::regex::extended);
    for (const auto* const text : {"acme.a", "\"acme\".a", "x = 'acme'", "SELECT acme", "(acme)"})
      CHECK(std::regex_search(text, pattern));
    for (const auto* const text : {"acme2.a", "my_acme.a", "acme_x", "$acme$", "pacme"})
      CHECK_FALSE(std::regex_search(text, pattern));
  }
}
