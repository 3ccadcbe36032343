#include "rollout/standing.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>

#include "pq/transaction.h"

namespace tenantctl {
namespace {

// A transaction that touches too many tables fills the server's lock table.
constexpr std::size_t read_batch_size = 100;

/// Digest of each prefix of a folder: a mark with one of them is an unedited, in-order history. Of
/// repeatables it must name none, or exactly the folder's as they are today.
class Prefixes {
 public:
  explicit Prefixes(const RevisionFolder& folder)
      : all_(history_of(folder, folder.revisions().size())) {
    for (const Revision& repeatable : folder.repeatables()) {
      repeatables_.push_back(repeatable_row(repeatable));
    }
    std::ranges::sort(repeatables_, {}, &AppliedRevision::position);
    rechain(repeatables_);
    repeatables_digest_ = repeatables_digest(repeatables_);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      counts_[all_[i].digest] = i + 1;
    }
  }

  bool knows(const Mark& mark) const {
    const bool knows_repeatables =
        mark.repeatables.empty() || mark.repeatables == repeatables_digest_;
    if (mark.running != 0 || !knows_repeatables) {
      return false;
    }
    return mark.count == 0 || counts_.contains(mark.digest);
  }

  History history(const Mark& mark) const {
    const std::size_t count = mark.count == 0 ? 0 : counts_.at(mark.digest);
    History history(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(count));
    if (!mark.repeatables.empty()) {
      history.insert(history.end(), repeatables_.begin(), repeatables_.end());
    }
    return history;
  }

 private:
  History all_;
  History repeatables_;
  std::string repeatables_digest_;
  std::unordered_map<std::string, std::size_t> counts_;
};

Standing::State state_of(FoundSchema::State found) {
  switch (found) {
    case FoundSchema::State::ours:
      return Standing::State::marked;
    case FoundSchema::State::foreign:
      return Standing::State::foreign;
    case FoundSchema::State::bare:
      return Standing::State::bare;
    case FoundSchema::State::away:
      return Standing::State::unavailable;
    case FoundSchema::State::missing:
      break;
  }
  return Standing::State::missing;
}

Standing standing_of(const Fleet& fleet, const FoundSchema& found, Scope scope) {
  Standing group;
  group.state = state_of(found.state);
  if (found.state != FoundSchema::State::ours) {
    return group;
  }
  const auto mark = Mark::parse(fleet.comment_of(found));
  if (!mark) {
    group.state = Standing::State::unmarked;
    return group;
  }
  group.mark = *mark;
  if (mark->dropping) {
    group.state = Standing::State::dropping;
  } else if (mark->scope != scope) {
    group.state = Standing::State::lying;
    group.claimed = *mark;
  }
  return group;
}

std::vector<Standing> group_by_comment(const Fleet& fleet,
                                       const std::vector<std::uint32_t>& selected, Scope scope) {
  std::map<std::pair<FoundSchema::State, std::uint32_t>, std::size_t> indexes;
  std::vector<Standing> groups;
  for (const std::uint32_t i : selected) {
    const FoundSchema& found = fleet.schemas[i];
    const bool ours = found.state == FoundSchema::State::ours;
    const auto key = std::pair(found.state, ours ? found.comment : 0U);
    const auto [at, is_new] = indexes.try_emplace(key, groups.size());
    if (is_new) {
      groups.push_back(standing_of(fleet, found, scope));
    }
    groups[at->second].members.push_back(i);
  }
  return groups;
}

// Takes the schemas out of their groups that have rows to be read.
std::vector<std::uint32_t> take_readable(std::vector<Standing>& groups) {
  const auto is_readable = [](const Standing& group) {
    return group.state == Standing::State::marked || group.state == Standing::State::unmarked ||
           group.state == Standing::State::lying;
  };
  std::vector<std::uint32_t> members;
  for (const Standing& group : groups) {
    if (is_readable(group)) {
      members.insert(members.end(), group.members.begin(), group.members.end());
    }
  }
  std::erase_if(groups, is_readable);
  return members;
}

// One after the other, each as long as a transaction may be.
std::vector<std::vector<std::uint32_t>> batches_of(const std::vector<std::uint32_t>& members) {
  std::vector<std::vector<std::uint32_t>> batches;
  for (std::size_t begin = 0; begin < members.size(); begin += read_batch_size) {
    const auto end = std::min(begin + read_batch_size, members.size());
    batches.emplace_back(members.begin() + static_cast<std::ptrdiff_t>(begin),
                         members.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return batches;
}

struct HistoryReading {
  History history;
  std::string problem;
};

HistoryReading read_one(pq::Pipeline& pipeline, const VersionTable& table, pq::Deadline deadline) {
  HistoryReading reading;
  try {
    reading.history = read_history(pipeline, table, deadline);
  } catch (const pq::ServerError& error) {
    reading.problem = error.what();
  }
  return reading;
}

// All in one round trip; if one table refuses, each on its own to learn which.
std::vector<HistoryReading> read_batch(pq::Pipeline& pipeline,
                                       const std::vector<VersionTable>& tables,
                                       pq::Deadline deadline) {
  std::deque<History> histories(tables.size());
  std::vector<pq::Message> messages;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    messages.push_back(tables[i].read(histories[i]));
  }
  std::vector<HistoryReading> readings;
  try {
    pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
    for (History& history : histories) {
      readings.push_back({std::move(history), {}});
    }
  } catch (const pq::ServerError&) {
    readings.clear();
    for (const VersionTable& table : tables) {
      readings.push_back(read_one(pipeline, table, deadline));
    }
  }
  return readings;
}

/// Reads version tables in bounded batches.
class Reader {
 public:
  Reader(pq::Pipeline& pipeline, const TableOptions& options, Scope scope, pq::Deadline deadline)
      : pipeline_(pipeline), options_(options), scope_(scope), deadline_(deadline) {}

  Scope scope() const { return scope_; }

  std::vector<HistoryReading> read(const std::vector<std::string>& schemas) const {
    std::vector<HistoryReading> readings;
    for (std::size_t begin = 0; begin < schemas.size(); begin += read_batch_size) {
      std::vector<VersionTable> tables;
      for (std::size_t i = begin; i < std::min(begin + read_batch_size, schemas.size()); ++i) {
        tables.emplace_back(SchemaName::existing(schemas[i]), options_);
      }
      for (HistoryReading& reading : read_batch(pipeline_, tables, deadline_)) {
        readings.push_back(std::move(reading));
      }
    }
    return readings;
  }

 private:
  pq::Pipeline& pipeline_;
  const TableOptions& options_;
  Scope scope_;
  pq::Deadline deadline_;
};

std::vector<std::string> names_of(const Fleet& fleet, const std::vector<std::uint32_t>& members) {
  std::vector<std::string> names;
  for (const std::uint32_t i : members) {
    names.push_back(fleet.schemas[i].schema);
  }
  return names;
}

void take_reading(Standing& group, const HistoryReading& reading, Scope scope) {
  group.history = reading.history;
  group.problem = reading.problem;
  if (group.problem.empty()) {
    try {
      check_chain(group.history);
    } catch (const HistoryError& error) {
      group.problem = error.what();
    }
  }
  if (!group.problem.empty()) {
    group.state = Standing::State::broken;
    return;
  }
  group.mark = Mark::of(scope, group.history);
}

// Without rows nothing says which scope's folder the schema belongs to.
void judge_scope(Standing& group) {
  if (group.state == Standing::State::lying && group.history.empty() &&
      group.claimed.scope != group.mark.scope) {
    group.state = Standing::State::broken;
    group.problem =
        fmt::format("its mark says that it holds the {} scope, and no row says otherwise",
                    to_text(group.claimed.scope));
  }
}

// Nothing but its own rows tells where such a schema stands.
bool needs_reading(const Standing& group) {
  return group.state == Standing::State::unmarked || group.state == Standing::State::lying ||
         (group.state == Standing::State::marked && group.mark.running != 0);
}

// Two schemas half-way in one revision may have come to different statements.
std::string place_key(const Standing& group) {
  std::string key = group.mark.text() + group.problem;
  for (const AppliedRevision& row : group.history) {
    if (row.state != RowState::applied) {
      key += fmt::format("|{}|{}|{}|{}", VersionTable::progress_text(row), row.statement_digest,
                         row.failed, to_text(row.state));
    }
  }
  return key;
}

// Such schemas share one group only until their rows are read.
void split_unread(std::vector<Standing>& groups, const Fleet& fleet, const Reader& reader) {
  std::vector<Standing> read;
  std::map<std::pair<Standing::State, std::string>, std::size_t> indexes;
  for (const Standing& group : groups) {
    if (!needs_reading(group)) {
      continue;
    }
    const std::vector<HistoryReading> readings = reader.read(names_of(fleet, group.members));
    for (std::size_t i = 0; i < readings.size(); ++i) {
      Standing one;
      one.state = group.state;
      one.claimed = group.claimed;
      take_reading(one, readings[i], reader.scope());
      judge_scope(one);
      std::string key = one.claimed.text() + place_key(one);
      const auto [at, is_new] = indexes.try_emplace({one.state, std::move(key)}, read.size());
      if (is_new) {
        read.push_back(std::move(one));
      }
      read[at->second].members.push_back(group.members[i]);
    }
  }
  std::erase_if(groups, needs_reading);
  for (Standing& group : read) {
    groups.push_back(std::move(group));
  }
}

/// Reads every table and compares what it says with its mark.
class DeepReading {
 public:
  DeepReading(pq::Pipeline& pipeline, const Fleet& fleet, const DeepQuery& query,
              const TableOptions& options)
      : pipeline_(pipeline), fleet_(fleet), query_(query), options_(options) {}

  std::vector<Standing> read(const std::vector<std::uint32_t>& selected) {
    groups_ = group_by_comment(fleet_, selected, query_.scope);
    for (const auto& batch : batches_of(take_readable(groups_))) {
      read_batch_of(batch);
    }
    return std::move(groups_);
  }

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + query_.patience; }

  void read_batch_of(const std::vector<std::uint32_t>& batch) {
    std::vector<VersionTable> tables;
    for (const std::string& name : names_of(fleet_, batch)) {
      tables.emplace_back(SchemaName::existing(name), options_);
    }
    const std::vector<HistoryReading> readings = read_batch(pipeline_, tables, deadline());
    std::vector<std::size_t> suspects;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const FoundSchema& found = fleet_.schemas[batch[i]];
      Standing one = judged(readings[i], fleet_.comment_of(found));
      const bool is_suspect = one.state == Standing::State::lying || !readings[i].problem.empty();
      if (is_suspect) {
        suspects.push_back(i);
      } else {
        keep(batch[i], std::move(one));
      }
    }
    for (const std::size_t i : suspects) {
      look_again(batch[i], tables[i]);
    }
  }

  Standing judged(const HistoryReading& reading, const std::string& comment) const {
    Standing one;
    const auto mark = Mark::parse(comment);
    if (mark && mark->dropping) {
      one.state = Standing::State::dropping;
      one.mark = *mark;
      return one;
    }
    one.state = mark ? Standing::State::marked : Standing::State::unmarked;
    take_reading(one, reading, query_.scope);
    if (one.state == Standing::State::marked && *mark != one.mark) {
      one.state = Standing::State::lying;
      one.claimed = *mark;
    }
    judge_scope(one);
    return one;
  }

  // The fleet was read before the table: somebody may have been there in between. Equal comments
  // before and after the rows prove that nobody was.
  void look_again(std::uint32_t member, const VersionTable& table) {
    std::optional<std::string> before;
    std::optional<std::string> after;
    HistoryReading reading;
    std::vector<pq::Message> messages;
    messages.push_back(table.read_comment(before));
    messages.push_back(table.read(reading.history));
    messages.push_back(table.read_comment(after));
    try {
      pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
    } catch (const pq::ServerError& error) {
      if (!before) {
        return;
      }
      reading.problem = error.what();
    }
    const bool is_moving = before != after && reading.problem.empty();
    keep(member, judged(reading, is_moving ? Mark::of(query_.scope, reading.history).text()
                                           : before.value_or("")));
  }

  void keep(std::uint32_t member, Standing one) {
    std::string key = one.claimed.text() + place_key(one);
    const auto [at, is_new] = indexes_.try_emplace({one.state, std::move(key)}, groups_.size());
    if (is_new) {
      groups_.push_back(std::move(one));
    }
    groups_[at->second].members.push_back(member);
  }

  pq::Pipeline& pipeline_;
  const Fleet& fleet_;
  const DeepQuery& query_;
  const TableOptions& options_;
  std::vector<Standing> groups_;
  std::map<std::pair<Standing::State, std::string>, std::size_t> indexes_;
};

std::string run_key(const Standing& group, const std::set<std::string>& run_ids) {
  std::string key = place_key(group);
  key += '|';
  for (const AppliedRevision& row : group.history) {
    key += run_ids.count(row.run_id) > 0 ? row.run_id : "-";
  }
  return key;
}

}  // namespace

void StandingGroups::add(Standing group) {
  std::string key = fmt::format("{}|{}|{}", static_cast<int>(group.state), group.claimed.text(),
                                run_key(group, run_ids_));
  const auto [at, is_new] = indexes_.try_emplace(std::move(key), groups_.size());
  if (is_new) {
    groups_.push_back(std::move(group));
    return;
  }
  auto& members = groups_[at->second].members;
  members.insert(members.end(), group.members.begin(), group.members.end());
}

std::vector<Standing> read_run_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                         const std::vector<std::uint32_t>& selected,
                                         const RunQuery& query, const TableOptions& options) {
  const Reader reader(pipeline, options, query.scope, query.deadline);
  std::vector<Standing> groups = group_by_comment(fleet, selected, query.scope);
  const std::vector<std::uint32_t> members = take_readable(groups);
  std::map<std::string, std::size_t> indexes;
  for (const auto& batch : batches_of(members)) {
    const std::vector<HistoryReading> readings = reader.read(names_of(fleet, batch));
    for (std::size_t i = 0; i < readings.size(); ++i) {
      Standing one;
      take_reading(one, readings[i], query.scope);
      const auto [at, is_new] = indexes.try_emplace(run_key(one, query.run_ids), groups.size());
      if (is_new) {
        groups.push_back(std::move(one));
      }
      groups[at->second].members.push_back(batch[i]);
    }
  }
  return groups;
}

std::vector<Standing> read_deep_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                          const std::vector<std::uint32_t>& selected,
                                          const DeepQuery& query, const TableOptions& options) {
  return DeepReading(pipeline, fleet, query, options).read(selected);
}

History read_history(pq::Pipeline& pipeline, const VersionTable& table, pq::Deadline deadline) {
  History history;
  std::vector<pq::Message> messages;
  messages.push_back(table.read(history));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return history;
}

// NOLINTNEXTLINE(readability-function-size): each is a fact of its own
std::vector<Standing> read_standings(pq::Pipeline& pipeline, const Fleet& fleet,
                                     const std::vector<std::uint32_t>& selected,
                                     const RevisionFolder& folder, const TableOptions& options,
                                     pq::Deadline deadline) {
  const Reader reader(pipeline, options, folder.scope(), deadline);
  const Prefixes prefixes(folder);
  std::vector<Standing> groups = group_by_comment(fleet, selected, folder.scope());
  split_unread(groups, fleet, reader);
  std::vector<std::uint32_t> unknown;
  std::vector<Standing*> unknown_groups;
  for (Standing& group : groups) {
    if (group.state != Standing::State::marked || group.mark.running != 0) {
      continue;
    }
    if (prefixes.knows(group.mark)) {
      group.history = prefixes.history(group.mark);
    } else {
      unknown.push_back(group.members.front());
      unknown_groups.push_back(&group);
    }
  }
  const std::vector<HistoryReading> readings = reader.read(names_of(fleet, unknown));
  for (std::size_t i = 0; i < readings.size(); ++i) {
    take_reading(*unknown_groups[i], readings[i], folder.scope());
  }
  return groups;
}

}  // namespace tenantctl
