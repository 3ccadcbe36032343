#pragma once

#include <string>

#include "rollout/standing.h"
#include "tenant/fleet.h"

namespace tenantctl::cli {

/// In one word what a tenant's version table says of itself: ok, unmarked, foreign, missing.
inline std::string mark_text(FoundSchema::State state, bool is_marked) {
  switch (state) {
    case FoundSchema::State::ours:
      return is_marked ? "ok" : "unmarked";
    case FoundSchema::State::foreign:
      return "foreign";
    case FoundSchema::State::bare:
      return "unmarked";
    case FoundSchema::State::away:
      return "unavailable";
    case FoundSchema::State::missing:
      break;
  }
  return "missing";
}

/// The same of one that was looked at: unavailable, where its database could not be reached.
inline std::string mark_text(Standing::State state) {
  switch (state) {
    case Standing::State::marked:
    case Standing::State::lying:
    case Standing::State::dropping:
      return "ok";
    case Standing::State::unmarked:
    case Standing::State::bare:
    case Standing::State::broken:
      return "unmarked";
    case Standing::State::foreign:
      return "foreign";
    case Standing::State::missing:
      return "missing";
    case Standing::State::unavailable:
      break;
  }
  return "unavailable";
}

}  // namespace tenantctl::cli
