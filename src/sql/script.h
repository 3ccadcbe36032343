#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace tenantctl::sql {

/// The text cannot be cut into tokens by any server: a string, comment or quoted name never ends,
/// say. `byte` is where it starts.
class SyntaxError : public Error {
 public:
  SyntaxError(const std::string& message, std::size_t byte) : Error(message), byte_(byte) {}
  std::size_t byte() const { return byte_; }

 private:
  std::size_t byte_;
};

/// What a statement's first tokens say it is. Only the kinds that the protocol treats differently
/// have a name; everything else, newer syntax included, is `ordinary` and the server's business.
enum class StatementKind {
  ordinary,
  begin,                ///< BEGIN, START TRANSACTION, without modes
  commit,               ///< COMMIT, END, without AND CHAIN
  transaction_control,  ///< ROLLBACK, ABORT, SAVEPOINT, RELEASE, PREPARE TRANSACTION, COMMIT
                        ///< PREPARED, COMMIT AND CHAIN, BEGIN with modes (SERIALIZABLE,
                        ///< say), SET TRANSACTION, SET SESSION CHARACTERISTICS
  copy_stream,          ///< COPY ... FROM STDIN, COPY ... TO STDOUT
  set_constraints,      ///< SET CONSTRAINTS
  set_authorization,    ///< SET [SESSION|LOCAL] SESSION AUTHORIZATION (not RESET)
  set_role,             ///< SET [SESSION|LOCAL] ROLE (not RESET)
  discard,              ///< DISCARD
  create_index_concurrently,
  drop_index_concurrently,
  reindex_concurrently,
  meta_command,  ///< begins with a backslash: psql's, not SQL
};

/// A placeholder in psql's notation, :"name" (identifier) or :'name' (literal).
struct Placeholder {
  std::size_t begin = 0;  ///< byte range in the script's text
  std::size_t end = 0;
  std::string name;
  bool identifier = false;
};

/// One command: a byte range of the script's text from its first byte that is not white space
/// (comments before it belong to it) up to, not including, its semicolon. Never only comments.
struct Statement {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t first_token = 0;  ///< where the command itself starts, after leading comments
  StatementKind kind = StatementKind::ordinary;
  /// Refuses to run inside a transaction block (VACUUM, CREATE DATABASE, ... CONCURRENTLY).
  bool needs_autocommit = false;
  /// May leave something in the session that the next schema would meet: SET, set_config, TEMP,
  /// PREPARE, LISTEN, an advisory lock, DO, CALL, LOAD, DECLARE ... WITH HOLD; or takes something
  /// of ours away (DEALLOCATE, pg_advisory_unlock).
  bool leaves_traces = false;
  /// Calls a function that may be the application's own, and may leave the same behind unseen.
  bool calls = false;
  /// A definition (CREATE TABLE, ALTER TABLE, CREATE INDEX, ...), by its first words: it cannot end
  /// the transaction. Only what is surely one and does not call; newer syntax is not.
  bool inert = false;
  /// ALTER TABLE ... ADD COLUMN ... DEFAULT, which some servers read all of pg_index for.
  bool adds_default = false;
  std::vector<Placeholder> placeholders;
};

/// Values by placeholder name, as the user means them (not quoted).
using Variables = std::map<std::string, std::string, std::less<>>;

/// The statements of one section, in order. Boundaries come from libpg_query: its parser's split,
/// and where that cannot parse (syntax newer than its PostgreSQL 15) from its scanner's tokens,
/// tracking parentheses and BEGIN ATOMIC ... END with nested CASE. Placeholders count as one token
/// of their sort, so a boundary does not depend on a value.
///
/// Owns its text. Copyable value, safe to read from several threads.
class Script {
 public:
  /// Throws SyntaxError if `text` cannot be cut into tokens.
  static Script read(std::string text);

  const std::string& text() const { return text_; }
  const std::vector<Statement>& statements() const { return statements_; }

  /// The parser did not know the syntax: boundaries were found by tokens alone.
  bool parsed() const { return parsed_; }

  /// The bytes to send for one statement: placeholders whose name is in `variables` replaced,
  /// quoted as their notation says; others left as they are.
  std::string rendered(const Statement& statement, const Variables& variables) const;

  /// Byte in text() that corresponds to `byte` of rendered(statement, variables): inside a replaced
  /// placeholder, its start.
  std::size_t source_byte(const Statement& statement, const Variables& variables,
                          std::size_t byte) const;

  /// If the first statement is a BEGIN and the last a COMMIT and there is no other of either kind
  /// between, drops both and returns true: that pair is what real files wrap a section in.
  bool drop_outer_transaction();

 private:
  std::string text_;
  std::vector<Statement> statements_;
  bool parsed_ = true;
};

/// A CREATE / DROP / REINDEX ... CONCURRENTLY without the word CONCURRENTLY, as it may run inside a
/// transaction on a schema that nobody uses yet. `text` is the rendered SQL. Spaces take the word's
/// place, so that positions stay what they were.
std::string without_concurrently(std::string_view text);

/// The unqualified name of the index that a CREATE, DROP or REINDEX INDEX statement is about, as
/// the catalog has it. Nothing if the statement leaves the name to the server, or qualifies it.
std::optional<std::string> index_name(std::string_view text);

}  // namespace tenantctl::sql
