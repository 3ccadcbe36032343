#include "rollout/observer.h"

namespace tenantctl {

void Observers::started(const Progress& progress) {
  for (Observer* observer : all_) {
    observer->started(progress);
  }
}

void Observers::wave_started(const Progress& progress, std::size_t schemas) {
  for (Observer* observer : all_) {
    observer->wave_started(progress, schemas);
  }
}

void Observers::warned(const std::string& message) {
  for (Observer* observer : all_) {
    observer->warned(message);
  }
}

void Observers::finished(const SchemaReport& schema, const Progress& progress) {
  for (Observer* observer : all_) {
    observer->finished(schema, progress);
  }
}

void Observers::tick(const Progress& progress) {
  for (Observer* observer : all_) {
    observer->tick(progress);
  }
}

void Observers::ended(const Report& report) {
  for (Observer* observer : all_) {
    observer->ended(report);
  }
}

}  // namespace tenantctl
