#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace tenantctl {

/// A place in a file that a person can open: what an error message points at.
/// `line` and `column` count from 1, `column` in characters; 0 means unknown.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  std::string text;  ///< the whole line, without its line end
};

/// Root of everything this program throws: one lower-case line that names the thing, and a hint,
/// a sentence that says what to do. Further classes exist only where a catch or an exit code
/// differs.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = {},
                 std::optional<Place> place = std::nullopt)
      : std::runtime_error(message), hint_(std::move(hint)), place_(std::move(place)) {}

  const std::string& hint() const { return hint_; }
  const std::optional<Place>& place() const { return place_; }

 private:
  std::string hint_;
  std::optional<Place> place_;
};

/// Arguments, configuration or the folder are wrong; nothing was touched (exit 2).
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The server cannot be reached, or the one selected schema stayed busy (exit 3).
class UnavailableError : public Error {
 public:
  using Error::Error;
};

/// A signal asked the program to stop before it was done (exit 130).
class InterruptedError : public Error {
 public:
  using Error::Error;
};

}  // namespace tenantctl
