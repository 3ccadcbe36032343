#pragma once

#include <string>
#include <vector>

#include "output/pace.h"
#include "rollout/observer.h"

namespace tenantctl {

enum class Tone { plain, good, bad, warning };

/// A few words of a line, which is broken only between them.
struct Words {
  std::string text;
  Tone tone = Tone::plain;
};

/// `12 of 4000 schemas`, `9 applied`, `3 failed`, `4 running`, ... in the order of importance.
std::vector<Words> summary_words(const Progress& progress, const Pace& pace);

/// `tenant_07: failed: <message> (SQLSTATE 42P07)`, on one line.
std::string failure_line(const SchemaReport& schema);

/// `tenant_07: applied (2 revisions, 120 ms)`, or the failure.
std::string finished_line(const SchemaReport& schema);

/// `waits for Lock relation, blocked by pid 4711 (...): UPDATE ...`; empty if it does not wait.
std::string wait_text(const Activity& activity);
/// The same where there is little room: who blocks it, if that is known, else what it waits for.
std::string short_wait_text(const Activity& activity);

}  // namespace tenantctl
