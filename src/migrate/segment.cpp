#include "migrate/segment.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace tenantctl {
namespace {

// The fast path holds locks of weak modes outside the table.
constexpr const char* question =
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l "
    "WHERE l.pid = pg_catalog.pg_backend_pid() AND NOT l.fastpath AND l.mode <> 'SIReadLock'";

}  // namespace

void Segment::count_locks(std::size_t& most) {
  Segment counting;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (origins[i].part == Part::commit) {
      counting.add({.sql = question,
                    .on_row =
                        [&most](const pq::Row& row) {
                          const std::string_view text = row.text(0);
                          std::size_t count = 0;
                          std::from_chars(text.data(), text.data() + text.size(), count);
                          most = std::max(most, count);
                        }},
                   {origins[i].step, Part::mark, 0});
    }
    counting.add(std::move(messages[i]), origins[i]);
  }
  messages = std::move(counting.messages);
  origins = std::move(counting.origins);
}

}  // namespace tenantctl
