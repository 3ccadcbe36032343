#include "revision/revision.h"

#include "sql/location.h"

namespace tenantctl {

Place place_of(const Revision& revision, const Section& section, std::size_t byte) {
  const auto location = sql::Location::at_byte(section.sql, byte);
  return {.file = revision.file,
          .line = section.first_line + location.line() - 1,
          .column = location.column(),
          .text = std::string(location.line_text())};
}

}  // namespace tenantctl
