#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/history.h"
#include "migrate/segment.h"
#include "pq/message.h"
#include "revision/revision_folder.h"

namespace tenantctl::testing {

/// The revision of a file `versions/0003_r3.sql` with these bytes. Throws std::runtime_error if
/// they make no revision.
Revision revision_of(RevisionNumber number, const std::string& bytes);

/// A reversible revision of one statement that names its number.
Revision revision_of(RevisionNumber number);

/// The repeatable of a file `repeatable/NAME.sql` with these bytes. Throws std::runtime_error if
/// they make none.
Revision repeatable_of(const std::string& name, const std::string& bytes = "SELECT 1;\n");

/// Tenant revisions of these numbers, reversible.
RevisionFolder folder_of(const std::vector<RevisionNumber>& numbers);

/// The history of a schema that got the folder's revisions of these numbers in this order.
History applied(const RevisionFolder& folder, const std::vector<RevisionNumber>& numbers);

/// The numbers of a history's rows in order.
std::vector<RevisionNumber> numbers_of(const History& history);

/// A row on its way to a message's on_row; nullopt is NULL.
using Fields = std::vector<std::optional<std::string>>;
void send_row(const pq::Message& message, const Fields& fields);

/// The rows that a version table's SELECT brings for a history.
void send_rows(const pq::Message& message, const History& history);

/// The server says yes to every message.
pq::FlightAnswer agreement(const Segment& segment);

/// The server refuses the message at `index` and skips those behind it.
pq::FlightAnswer rejection(const Segment& segment, std::size_t index,
                           const pq::ServerFields& error);
/// The same for the first message that is for `part`. Throws std::runtime_error if there is none.
pq::FlightAnswer rejection(const Segment& segment, Part part, const pq::ServerFields& error);

/// Index of the segment's first message for `part`. Throws std::runtime_error if there is none.
std::size_t index_of(const Segment& segment, Part part);

/// An error with nothing but a code and a text.
pq::ServerFields server_error(std::string_view sqlstate, std::string message = "no");

}  // namespace tenantctl::testing
