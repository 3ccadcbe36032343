#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// A part of the tool that stands in the database, in schema tenantctl: what it is called, the
/// tables that must be ours before anything of it is trusted, and how it came to be. A value.
struct Component {
  std::string name;
  std::vector<std::string> tables;
  /// Statements that make version 1, that take it to version 2, and so on.
  std::vector<std::vector<std::string>> versions;

  int version() const { return static_cast<int>(versions.size()); }
};

/// What install() found and left; version 0 is none.
struct Installed {
  int before = 0;
  int after = 0;
};

/// What is installed of the tool in this database (tenantctl.component), and every transaction on
/// it. Nothing is read or written unless schema tenantctl and the component's tables are owned by
/// the current role or one of `owners` and bear nobody else's triggers, rules or policies: checked
/// in each transaction.
///
/// All functions throw UsageError if that is not so or another version of tenantctl made them,
/// ServerError (no rights, say), ConnectionLost.
class Components {
 public:
  Components(pq::Pipeline& pipeline, std::vector<std::string> owners,
             std::chrono::milliseconds patience)
      : pipeline_(pipeline), owners_(std::move(owners)), patience_(patience) {}

  /// The version that is installed; 0 for none.
  int version_of(const Component& component);

  /// Installs the component or takes it to this version, in one transaction; of two at once the
  /// second finds what the first made.
  Installed install(const Component& component);

  void write(const Component& component, std::vector<pq::Message> messages);
  /// The messages behind the check, to be part of somebody else's transaction; what that throws
  /// when the check fails is for explain().
  std::vector<pq::Message> checked(const Component& component, std::vector<pq::Message> messages);
  /// A transaction of messages that checked() returned.
  void run(std::vector<pq::Message> messages);
  /// Throws what the error means to a person, or the error itself.
  [[noreturn]] static void explain(const pq::ServerError& error, const Component& component);
  /// False, and nothing is read, where the component is not installed.
  bool read(const Component& component, std::vector<pq::Message> messages);

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + patience_; }
  void upgrade(const Component& component, int from);

  pq::Pipeline& pipeline_;
  std::vector<std::string> owners_;
  std::chrono::milliseconds patience_;
};

}  // namespace tenantctl
