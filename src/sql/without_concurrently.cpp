#include <algorithm>
#include <string>

#include "sql/phrase.h"
#include "sql/scan.h"
#include "sql/script.h"  // declares it

namespace tenantctl::sql {

namespace {

// Spaces instead of nothing: an error's position still points into the text as it was.
void blank(std::string& text, std::size_t begin, std::size_t end) {
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin),
            text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
}

// REINDEX (VERBOSE, CONCURRENTLY): one comma goes with the option, and if nothing else is listed
// the parentheses go too, since an empty list is no syntax.
void blank_option(std::string& text, const Phrase& phrase, ListedOption option) {
  const bool first = phrase.symbol(option.begin - 1, '(');
  const bool last = phrase.symbol(option.end, ')');
  if (!first || last) {
    --option.begin;
  }
  if (first) {
    ++option.end;
  }
  blank(text, phrase.token(option.begin).begin, phrase.token(option.end - 1).end);
}

std::size_t position_of_word(const Phrase& phrase) {
  if (phrase.is(0, "reindex")) {
    return phrase.after_parentheses(1) + 1;
  }
  return phrase.is(1, "unique") ? 3 : 2;
}

}  // namespace

std::string without_concurrently(std::string_view text) {
  std::string out(text);
  const Phrase phrase(text, scan(out));
  const ListedOption option =
      phrase.is(0, "reindex") ? listed_concurrently(phrase) : ListedOption{};
  if (option.begin != 0) {
    blank_option(out, phrase, option);
  }
  const std::size_t word = position_of_word(phrase);
  if (phrase.is(word, "concurrently")) {
    blank(out, phrase.token(word).begin, phrase.token(word).end);
  }
  return out;
}

}  // namespace tenantctl::sql
