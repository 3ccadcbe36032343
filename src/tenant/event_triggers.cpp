#include "tenant/event_triggers.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {

std::vector<std::string> read_event_triggers(pq::Pipeline& pipeline,
                                             const std::vector<std::string>& owners,
                                             pq::Deadline deadline) {
  std::string trusted = "CURRENT_USER::pg_catalog.text";
  for (const std::string& owner : owners) {
    trusted += ", " + quote_literal(owner);
  }
  std::vector<std::string> names;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT e.evtname, pg_catalog.pg_get_userbyid(e.evtowner) FROM "
                          "pg_catalog.pg_event_trigger e WHERE e.evtenabled <> 'D' "
                          "AND e.evtevent IN ('ddl_command_start', 'ddl_command_end') "
                          "AND (e.evttags IS NULL OR e.evttags OPERATOR(pg_catalog.&&) "
                          "ARRAY['COMMENT', 'CREATE TABLE', 'CREATE SCHEMA']::pg_catalog.text[]) "
                          "AND pg_catalog.pg_get_userbyid(e.evtowner)::pg_catalog.text NOT IN ({}) "
                          "ORDER BY e.evtname",
                          trusted),
       .on_row = [&names](const pq::Row& row) {
         names.push_back(fmt::format("{} (of {})", row.text(0), row.text(1)));
       }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return names;
}

}  // namespace tenantctl
