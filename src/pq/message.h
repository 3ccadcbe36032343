#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pq/server_error.h"

struct pg_result;

namespace tenantctl::pq {

/// One row while it passes by; valid only inside the call that receives it.
class Row {
 public:
  explicit Row(const pg_result* result) : result_(result) {}
  std::string_view text(int column) const;  ///< empty for NULL
  bool is_null(int column) const;

 private:
  const pg_result* result_;
};

/// One command for the server, as one Parse/Bind/Execute: the server itself refuses a second
/// command in it (42601). Rows go to `on_row` one by one as they arrive and are dropped when there
/// is none, so that a SELECT in somebody's revision costs no memory.
struct Message {
  std::string sql;
  std::vector<std::optional<std::string>> values = {};  ///< $1, $2, ... as text; nullopt is NULL
  std::function<void(const Row&)> on_row = {};
  /// The session has `sql` prepared under this name: the server neither parses nor plans it again.
  std::string_view prepared = {};
};

/// What came of one message.
struct Answer {
  enum class Kind {
    done,
    failed,
    skipped  ///< not run: an earlier message of the same segment failed
  };
  Kind kind = Kind::skipped;
  std::string tag;  ///< the command tag: COMMIT in a failed transaction answers ROLLBACK
  std::optional<ServerFields> error;
};

/// The answers of one flight (messages up to their Sync), and in what state the session is now.
struct FlightAnswer {
  std::vector<Answer> answers;
  /// A ROLLBACK must follow. With flights behind it, a flight that failed does not know yet; the
  /// first that was refused because of it (25P02) does.
  bool in_failed_transaction = false;
  bool in_transaction = false;  ///< unknown, hence false, with flights behind it

  /// The first failed answer, or nullptr.
  const Answer* failure() const;
};

}  // namespace tenantctl::pq
