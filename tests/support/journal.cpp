#include "support/journal.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace tenantctl::testing {

using namespace std::chrono_literals;

std::string journal(int revision) {
  return fmt::format("INSERT INTO public.journal VALUES (:'schema', {});\n", revision);
}

void create_journal(TestDatabase& database) {
  database.execute("CREATE TABLE public.journal (schema text, revision int)");
}

std::string journal_counts(TestDatabase& database) {
  return database.value(
      "SELECT count(*) || ' rows, ' || count(*) - count(DISTINCT (schema, revision)) || ' doubled' "
      "FROM public.journal");
}

bool becomes_true(TestDatabase& database, const std::string& sql) {
  for (int tries = 0; tries < 500; ++tries) {
    if (database.value(sql) == "t")
      return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

}  // namespace tenantctl::testing
