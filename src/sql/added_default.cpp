#include "sql/added_default.h"

#include <algorithm>

namespace tenantctl::sql {
namespace {

// A name may be a placeholder, :"schema", and have its schema before it.
std::size_t after_name(const Phrase& phrase, std::size_t at) {
  const auto after_part = [&phrase](std::size_t part) {
    return part + (phrase.symbol(part, ':') ? 2 : 1);
  };
  at = after_part(at);
  while (phrase.symbol(at, '.')) {
    at = after_part(at + 1);
  }
  return phrase.symbol(at, '*') ? at + 1 : at;
}

std::size_t first_action(const Phrase& phrase) {
  std::size_t at = phrase.reads(1, {"foreign", "table"}) ? 3 : 2;
  if (phrase.reads(at, {"if", "exists"})) {
    at += 2;
  }
  if (phrase.is(at, "only")) {
    ++at;
  }
  // ONLY (name), as the grammar also has it.
  return phrase.symbol(at, '(') ? phrase.after_parentheses(at) : after_name(phrase, at);
}

// All of these words are reserved but EXCLUDE, which may be a column.
bool is_constraint(const Phrase& phrase, std::size_t at) {
  if (phrase.is(at, "exclude")) {
    return phrase.is(at + 1, "using") || phrase.symbol(at + 1, '(');
  }
  return phrase.is_any(at, {"constraint", "check", "unique", "primary", "foreign"});
}

std::size_t next(const Phrase& phrase, std::size_t at) {
  return std::max(at + 1, phrase.after_parentheses(at));
}

// `at` is behind ADD; the column ends at the comma before the next action.
bool defines_default(const Phrase& phrase, std::size_t at) {
  if (is_constraint(phrase, at)) {
    return false;
  }
  for (; at < phrase.size() && !phrase.symbol(at, ','); at = next(phrase, at)) {
    if (phrase.is(at, "default") && !phrase.is_any(at - 1, {"by", "set"})) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool adds_default(const Phrase& phrase) {
  const bool alters =
      phrase.reads(0, {"alter", "table"}) || phrase.reads(0, {"alter", "foreign", "table"});
  if (!alters) {
    return false;
  }
  for (std::size_t at = first_action(phrase); at < phrase.size(); ++at) {
    if (phrase.is(at, "add") && defines_default(phrase, at + 1)) {
      return true;
    }
    while (at < phrase.size() && !phrase.symbol(at, ',')) {
      at = next(phrase, at);
    }
  }
  return false;
}

}  // namespace tenantctl::sql
