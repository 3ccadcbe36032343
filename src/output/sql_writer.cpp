#include "output/sql_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ostream>
#include <string_view>

#include "base/text.h"

namespace tenantctl {
namespace {

// Our own SQL has its values as $1, $2, ... and no other dollar sign but in quotes (a schema's
// name) and in DO blocks, which have no values.
std::string with_values(const std::string& sql,
                        const std::vector<std::optional<std::string>>& values) {
  if (values.empty()) {
    return sql;
  }
  std::string text;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] != '$') {
      const std::size_t end = sql[i] == '"' || sql[i] == '\'' ? sql.find(sql[i], i + 1) : i;
      text += sql.substr(i, end - i + 1);
      i = std::min(end, sql.size() - 1);
      continue;
    }
    std::size_t number = 0;
    while (i + 1 < sql.size() && std::isdigit(static_cast<unsigned char>(sql[i + 1])) != 0) {
      number = number * 10 + static_cast<std::size_t>(sql[++i] - '0');
    }
    const auto& value = values.at(number - 1);
    text += value ? quote_literal(*value) : "NULL";
  }
  return text;
}

// A semicolon behind a comment would be part of it.
std::string_view end_of(std::string_view sql) {
  const std::string_view last_line = sql.substr(sql.rfind('\n') + 1);
  return last_line.find("--") == std::string_view::npos ? ";\n" : "\n;\n";
}

/// A server that says yes to everything, so that all segments of a plan can be seen.
pq::FlightAnswer agreement(const Segment& segment) {
  pq::FlightAnswer answer;
  for (const pq::Message& message : segment.messages) {
    pq::Answer one;
    one.kind = pq::Answer::Kind::done;
    one.tag = message.sql;
    answer.answers.push_back(std::move(one));
  }
  return answer;
}

void write_schema(std::ostream& out, const std::string& schema, const Plan& plan,
                  const MigrateOptions& options) {
  Migrator migrator(SchemaName::existing(schema), plan, options);
  while (const auto segment = migrator.next()) {
    for (const pq::Message& message : segment->messages) {
      out << with_values(message.sql, message.values) << end_of(message.sql);
    }
    migrator.fold(agreement(*segment));
  }
}

}  // namespace

void write_sql(std::ostream& out, const FleetPlan& plan, const MigrateOptions& options) {
  for (const FleetPlan::Group& group : plan.groups) {
    if (group.schemas.empty()) {
      continue;
    }
    if (group.problem) {
      out << fmt::format("-- {}: {}: {}\n", counted(group.schemas.size(), "schema"),
                         to_text(group.result), escaped(group.problem->message));
      continue;
    }
    out << fmt::format("-- {}, from revision {} to {}; the SQL for {}:\n",
                       counted(group.schemas.size(), "schema"), group.work.plan.from.head,
                       group.work.plan.to.head, escaped_name(group.schemas.front()));
    write_schema(out, group.schemas.front(), group.work.plan, options);
  }
}

}  // namespace tenantctl
