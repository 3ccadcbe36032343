#include "migrate/segment_points.h"

#ifdef TENANTCTL_FAULTS

#include <algorithm>
#include <utility>
#include <vector>

#include "pq/stop_point.h"

namespace tenantctl {
namespace {

using pq::StopPoint;

bool has(const Segment& segment, Part part) {
  return std::any_of(segment.origins.begin(), segment.origins.end(),
                     [part](const Segment::Origin& origin) { return origin.part == part; });
}

// Of a row's message: is the user's SQL still to come?
bool is_before_statement(const Segment& segment, std::size_t message) {
  for (std::size_t i = message + 1; i < segment.origins.size(); ++i) {
    if (segment.origins[i].part == Part::statement) {
      return true;
    }
    if (segment.origins[i].part == Part::commit) {
      return false;
    }
  }
  return false;
}

StopPoint point_inside(const Segment& segment, std::size_t message) {
  const auto is = [&segment](std::size_t i, Part part) { return segment.origins[i].part == part; };
  switch (segment.origins[message].part) {
    case Part::begin:
      return StopPoint::after_begin;
    case Part::settings:
      return StopPoint::after_settings;
    case Part::install:
      return StopPoint::after_install;
    case Part::fence:
      return is(message - 1, Part::fence) ? StopPoint::after_place : StopPoint::after_entry;
    case Part::row:
      return is_before_statement(segment, message) ? StopPoint::after_guard : StopPoint::after_row;
    case Part::statement:
      return StopPoint::after_statement;
    case Part::close:
      return is(message + 1, Part::close) ? StopPoint::after_reset : StopPoint::after_close;
    case Part::mark:
      return StopPoint::after_mark;
    case Part::commit:
      return StopPoint::after_commit;
    case Part::lock:
    case Part::release:
      break;
  }
  return StopPoint::after_unlock;
}

// Of messages that are only a step on the way the transaction's COMMIT is the point.
StopPoint point_outside(const Segment& segment, std::size_t message) {
  const bool starts = has(segment, Part::fence);
  switch (segment.origins[message].part) {
    case Part::lock:
      return StopPoint::outside_lock;
    case Part::statement:
      return StopPoint::outside_statement;
    case Part::release:
      return StopPoint::outside_release;
    case Part::commit:
      if (starts) {
        return StopPoint::outside_running;
      }
      return has(segment, Part::mark) ? StopPoint::outside_applied : StopPoint::outside_progress;
    case Part::row:
      return has(segment, Part::begin) ? StopPoint::outside_row : StopPoint::outside_inspection;
    case Part::begin:
    case Part::settings:
    case Part::install:
    case Part::fence:
    case Part::close:
    case Part::mark:
      break;
  }
  return StopPoint::outside_step;
}

}  // namespace

void announce_points(const std::string& schema, const Segment& segment) {
  std::vector<StopPoint> points;
  for (std::size_t i = 0; i < segment.origins.size(); ++i) {
    points.push_back(segment.alone ? point_outside(segment, i) : point_inside(segment, i));
  }
  pq::announce_points(schema, std::move(points));
}

}  // namespace tenantctl

#endif
