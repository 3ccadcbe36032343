#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tenantctl {

/// A line of a file, numbered from 1, without its line feed.
struct Line {
  int number = 0;
  std::size_t begin = 0;  ///< byte in the file's text
  std::string_view text;
};

/// The lines of `text`, views of it. A line feed at the end starts no further line.
std::vector<Line> lines_of(std::string_view text);

/// The words of a line, split at white space.
std::vector<std::string_view> words_of(std::string_view text);

/// A line `-- migrate:up` or `-- migrate:down` with its options: where a section starts. It counts
/// wherever it stands, inside a string or a comment too: that is what dbmate does.
struct Marker {
  bool up = false;
  Line line;
  std::vector<std::string_view> options;
};

/// The markers among `lines`, in order.
std::vector<Marker> markers_of(const std::vector<Line>& lines);

/// The lines that are no markers but can only be meant as such: `-- migrate:donw`, a capital
/// letter, a blank before `--`. Taken as comments they would hang the one section on the other.
std::vector<Line> mistaken_markers(const std::vector<Line>& lines);

}  // namespace tenantctl
