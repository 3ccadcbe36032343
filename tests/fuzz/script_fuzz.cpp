// The splitter: whatever the bytes, pieces are in order, apart, within the text and not empty, and
// what is rendered without variables is what stands there.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "sql/script.h"

using namespace tenantctl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  if (text.find('\0') != std::string::npos) {
    return 0;  // refused before it gets there
  }
  try {
    sql::Script script = sql::Script::read(text);
    std::size_t end = 0;
    for (const sql::Statement& statement : script.statements()) {
      const bool sound = statement.begin >= end && statement.begin < statement.end &&
                         statement.end <= text.size() && statement.first_token >= statement.begin &&
                         statement.first_token < statement.end;
      if (!sound || script.rendered(statement, {}) !=
                        text.substr(statement.begin, statement.end - statement.begin)) {
        std::abort();
      }
      const std::string sent = script.rendered(statement, {{"schema", "a\"b"}, {"x", "'"}});
      if (script.source_byte(statement, {{"schema", "a\"b"}, {"x", "'"}}, sent.size()) >
          statement.end) {
        std::abort();
      }
      static_cast<void>(sql::without_concurrently(sent));
      static_cast<void>(sql::index_name(sent));
      end = statement.end;
    }
    script.drop_outer_transaction();
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
