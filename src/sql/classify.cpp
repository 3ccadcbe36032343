#include "sql/classify.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "sql/added_default.h"
#include "sql/calls.h"
#include "sql/phrase.h"

namespace tenantctl::sql {

namespace {

// BEGIN, COMMIT and END may be followed by a word that says nothing.
std::size_t after_noise(const Phrase& phrase, std::size_t index) {
  return phrase.is_any(index, {"work", "transaction"}) ? index + 1 : index;
}

// With modes (SERIALIZABLE, say) it is not the plain BEGIN that our own replaces.
StatementKind kind_of_begin(const Phrase& phrase) {
  const bool plain = after_noise(phrase, 1) == phrase.size();
  return plain ? StatementKind::begin : StatementKind::transaction_control;
}

StatementKind kind_of_commit(const Phrase& phrase) {
  const std::size_t rest = after_noise(phrase, 1);
  const bool plain = rest == phrase.size() || phrase.reads(rest, {"and", "no", "chain"});
  return plain ? StatementKind::commit : StatementKind::transaction_control;
}

// The grammar takes STDIN and STDOUT after FROM and TO alike.
bool streams(const Phrase& phrase) {
  for (std::size_t i = 1; i < phrase.size(); ++i) {
    i = phrase.after_parentheses(i);
    if (phrase.is_any(i, {"from", "to"}) && phrase.is_any(i + 1, {"stdin", "stdout"})) {
      return true;
    }
  }
  return false;
}

// SESSION is a modifier, but also the first word of two things that can be set.
std::size_t after_set_modifier(const Phrase& phrase) {
  if (phrase.is(1, "local")) {
    return 2;
  }
  const bool modifier =
      phrase.is(1, "session") && !phrase.is_any(2, {"authorization", "characteristics"});
  return modifier ? 2 : 1;
}

StatementKind kind_of_set(const Phrase& phrase) {
  const std::size_t subject = after_set_modifier(phrase);
  if (phrase.is(subject, "role")) {
    return StatementKind::set_role;
  }
  if (phrase.is(subject, "constraints")) {
    return StatementKind::set_constraints;
  }
  if (phrase.is(subject, "transaction")) {
    return StatementKind::transaction_control;
  }
  if (phrase.reads(subject, {"session", "characteristics"})) {
    return StatementKind::transaction_control;
  }
  const bool authorization = phrase.reads(subject, {"session", "authorization"}) ||
                             phrase.is(subject, "session_authorization");
  return authorization ? StatementKind::set_authorization : StatementKind::ordinary;
}

StatementKind kind_of_index(const Phrase& phrase) {
  const std::size_t index = phrase.is(1, "unique") ? 2 : 1;
  if (phrase.is(0, "create") && phrase.reads(index, {"index", "concurrently"})) {
    return StatementKind::create_index_concurrently;
  }
  if (phrase.reads(0, {"drop", "index", "concurrently"})) {
    return StatementKind::drop_index_concurrently;
  }
  return StatementKind::ordinary;
}

StatementKind kind_of_reindex(const Phrase& phrase) {
  const bool concurrent = is_on(phrase, listed_concurrently(phrase)) ||
                          phrase.is(phrase.after_parentheses(1) + 1, "concurrently");
  return concurrent ? StatementKind::reindex_concurrently : StatementKind::ordinary;
}

StatementKind kind_of(const Phrase& phrase) {
  if (phrase.symbol(0, '\\')) {
    return StatementKind::meta_command;
  }
  if (phrase.is(0, "begin")) {
    return kind_of_begin(phrase);
  }
  if (phrase.reads(0, {"start", "transaction"})) {
    return phrase.size() == 2 ? StatementKind::begin : StatementKind::transaction_control;
  }
  if (phrase.is_any(0, {"commit", "end"})) {
    return kind_of_commit(phrase);
  }
  if (phrase.is_any(0, {"rollback", "abort", "savepoint", "release"}) ||
      phrase.reads(0, {"prepare", "transaction"})) {
    return StatementKind::transaction_control;
  }
  if (phrase.is(0, "copy") && streams(phrase)) {
    return StatementKind::copy_stream;
  }
  if (phrase.is(0, "set")) {
    return kind_of_set(phrase);
  }
  if (phrase.is(0, "discard")) {
    return StatementKind::discard;
  }
  if (phrase.is(0, "reindex")) {
    return kind_of_reindex(phrase);
  }
  return kind_of_index(phrase);
}

bool is_concurrent(StatementKind kind) {
  return kind == StatementKind::create_index_concurrently ||
         kind == StatementKind::drop_index_concurrently ||
         kind == StatementKind::reindex_concurrently;
}

// CLUSTER and CLUSTER (VERBOSE) work through all tables, each in a transaction of its own.
bool clusters_all(const Phrase& phrase) {
  std::size_t rest = phrase.after_parentheses(1);
  if (phrase.is(rest, "verbose")) {
    ++rest;
  }
  return rest >= phrase.size();
}

bool alters_outside(const Phrase& phrase) {
  if (phrase.is(1, "system")) {
    return true;
  }
  if (phrase.is(1, "database")) {
    return phrase.has(2, {"set", "tablespace"});
  }
  if (phrase.is(1, "subscription")) {
    return phrase.has(3, {"refresh"});
  }
  return phrase.is(1, "table") && phrase.has(2, {"detach", "partition"}) &&
         phrase.is(phrase.size() - 1, "concurrently");
}

bool needs_autocommit(const Phrase& phrase) {
  if (phrase.is(0, "vacuum") || phrase.reads(0, {"discard", "all"})) {
    return true;
  }
  if (phrase.is_any(0, {"create", "drop"})) {
    return phrase.is_any(1, {"database", "tablespace", "subscription"});
  }
  if (phrase.is(0, "reindex")) {
    return phrase.is_any(phrase.after_parentheses(1), {"schema", "database", "system"});
  }
  if (phrase.is(0, "cluster")) {
    return clusters_all(phrase);
  }
  return phrase.is(0, "alter") && alters_outside(phrase);
}

// Functions and schemas work in quotes too. In SQL text that is only quoted (the body of a
// function, what DO runs) nothing is looked for: DO and CALL leave traces anyway.
bool leaves_by_name(std::string_view name) {
  constexpr std::array<std::string_view, 10> names{"set_config",
                                                   "pg_advisory_unlock",
                                                   "pg_advisory_unlock_all",
                                                   "temp",
                                                   "temporary",
                                                   "pg_temp",
                                                   "pg_advisory_lock",
                                                   "pg_advisory_lock_shared",
                                                   "pg_try_advisory_lock",
                                                   "pg_try_advisory_lock_shared"};
  return std::ranges::find(names, name) != names.end();
}

bool names_a_trace(std::string_view text, std::span<const Token> tokens) {
  constexpr std::size_t longest = 32;
  return std::ranges::any_of(tokens, [text](const Token& token) {
    const std::string_view name = text.substr(token.begin, token.end - token.begin);
    if (name.size() > longest) {
      return false;
    }
    if (token.kind == TokenKind::word) {
      return leaves_by_name(lowered(name));
    }
    return token.kind == TokenKind::quoted_identifier &&
           leaves_by_name(name.substr(1, name.size() - 2));
  });
}

// RESET too: it puts back the session's default, not what the session was given with SET.
bool sets_the_session(const Phrase& phrase) {
  if (phrase.is(0, "reset")) {
    return true;
  }
  if (!phrase.is(0, "set") || phrase.is(1, "local")) {
    return false;
  }
  return !phrase.is_any(after_set_modifier(phrase), {"constraints", "transaction"});
}

bool leaves_traces(const Phrase& phrase) {
  if (phrase.is(0, "prepare")) {
    return !phrase.is(1, "transaction");
  }
  if (phrase.is(0, "declare")) {
    return phrase.has(1, {"with", "hold"});
  }
  return phrase.is_any(0, {"do", "call", "listen", "load", "deallocate"}) ||
         sets_the_session(phrase);
}

// What may stand between CREATE and the word that says what is created.
std::size_t after_create_modifiers(const Phrase& phrase) {
  std::size_t at = 1;
  if (phrase.reads(at, {"or", "replace"})) {
    at += 2;
  }
  while (phrase.is_any(at, {"unique", "unlogged", "materialized", "recursive", "constraint"})) {
    ++at;
  }
  return at;
}

bool has_outside_parentheses(const Phrase& phrase, std::size_t at, std::string_view word) {
  for (; at < phrase.size(); at = std::max(at + 1, phrase.after_parentheses(at))) {
    if (phrase.is(at, word)) {
      return true;
    }
  }
  return false;
}

// CREATE TABLE ... AS and a materialized view run a query, and that may call anything.
bool creates_quietly(const Phrase& phrase) {
  const std::size_t what = after_create_modifiers(phrase);
  if (phrase.is(what, "table")) {
    return !has_outside_parentheses(phrase, what, "as");
  }
  return !phrase.has(0, {"materialized"}) &&
         phrase.is_any(what, {"index", "view", "sequence", "type", "domain", "function",
                              "procedure", "trigger", "policy"});
}

bool is_inert(const Phrase& phrase) {
  if (phrase.is(0, "create")) {
    return creates_quietly(phrase);
  }
  if (phrase.is_any(0, {"alter", "drop"})) {
    return phrase.is_any(1, {"table", "index", "view", "sequence", "type", "domain", "function",
                             "procedure", "trigger", "policy"});
  }
  return phrase.reads(0, {"comment", "on"}) || phrase.is_any(0, {"grant", "revoke"});
}

// What these only name is called later, if ever. A partition's bounds and the rows that an ALTER or
// an index finds are evaluated at once. What follows SET or VACUUM is never a call.
bool evaluates_nothing(const Phrase& phrase, StatementKind kind) {
  if (phrase.is(0, "create")) {
    const std::size_t what = after_create_modifiers(phrase);
    if (phrase.is(what, "table")) {
      return creates_quietly(phrase) && !phrase.has(what, {"partition", "of"});
    }
    return !phrase.is(what, "index") && creates_quietly(phrase);
  }
  const bool is_named = kind != StatementKind::ordinary && !is_concurrent(kind);
  return is_named || phrase.is_any(0, {"comment", "grant", "revoke", "drop", "set", "reset", "show",
                                       "vacuum", "analyze", "lock", "truncate"});
}

std::string source_of(std::string_view parseable, std::span<const Token> tokens) {
  const std::size_t begin = tokens.front().begin;
  return std::string(parseable.substr(begin, tokens.back().end - begin));
}

}  // namespace

Classification classify(std::string_view text, std::string_view parseable,
                        std::span<const Token> tokens) {
  const Phrase phrase(text, tokens);
  const StatementKind kind = kind_of(phrase);
  const bool calls =
      !evaluates_nothing(phrase, kind) && calls_unknown(source_of(parseable, tokens));
  return {.kind = kind,
          .needs_autocommit = is_concurrent(kind) || needs_autocommit(phrase),
          .leaves_traces = leaves_traces(phrase) || names_a_trace(text, tokens),
          .calls = calls,
          .inert = !calls && is_inert(phrase),
          .adds_default = adds_default(phrase)};
}

}  // namespace tenantctl::sql
