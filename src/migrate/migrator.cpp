#include "migrate/migrator.h"

#include <algorithm>
#include <string>

namespace tenantctl {

Migrator::Migrator(const SchemaName& schema, const Plan& plan, const MigrateOptions& options)
    : plan_(plan), writer_(schema, plan, options) {
  outcome_.mark = plan.from;
  if (plan.empty()) {
    outcome_.verdict = Verdict::done;
  }
}

std::optional<Segment> Migrator::next() {
  // After a failure outside a transaction the row and the lock are still to be looked after.
  if (!autocommit_ && outcome_.verdict != Verdict::open) {
    return std::nullopt;
  }
  const bool in_transaction = !autocommit_ && plan_.steps[step_].in_transaction();
  if (!autocommit_ && !in_transaction) {
    autocommit_.emplace(writer_, plan_.steps[step_], step_);
  }
  std::optional<Segment> segment =
      in_transaction ? writer_.transactions(step_) : autocommit_->next();
  if (!segment) {
    autocommit_.reset();
    return std::nullopt;
  }
  if (in_transaction && most_locks_ != nullptr) {
    segment->count_locks(*most_locks_);
  }
  origins_ = segment->origins;
  alone_ = segment->alone;
  return segment;
}

void Migrator::stop() {
  if (autocommit_ && outcome_.verdict == Verdict::open) {
    autocommit_->stop();
    outcome_.verdict = autocommit_->verdict();
    outcome_.failure = autocommit_->failure();
  }
}

void Migrator::fold(const pq::FlightAnswer& answer) {
  if (autocommit_) {
    fold_autocommit(answer);
  } else {
    fold_transactions(answer);
  }
}

void Migrator::fold_transactions(const pq::FlightAnswer& answer) {
  for (std::size_t i = 0; i < answer.answers.size(); ++i) {
    const Segment::Origin& origin = origins_[i];
    const pq::Answer& one = answer.answers[i];
    if (one.kind == pq::Answer::Kind::failed) {
      end(verdict_in(*one.error, origin), *one.error, origin);
      return;
    }
    if (origin.part != Part::commit) {
      continue;
    }
    // A failed transaction answers COMMIT with success and the tag ROLLBACK.
    if (one.tag != "COMMIT") {
      pq::ServerFields error;
      error.sqlstate = refusal::escaped;
      error.message = "the server answered COMMIT with " + one.tag;
      end(Verdict::failed, error, origin);
      return;
    }
    pass(origin.step);
  }
}

// Behind the segment's first step no fence tells that the schema was dropped meanwhile: planned
// again, it does, or the same error comes again from the first step.
Verdict Migrator::verdict_in(const pq::ServerFields& error, const Segment::Origin& origin) const {
  const bool behind = origin.step > origins_.front().step;
  if (behind && origin.part == Part::statement && (error.is("3F000") || error.is("42P01"))) {
    return Verdict::moved;
  }
  return verdict_of(error, origin.part);
}

void Migrator::fold_autocommit(const pq::FlightAnswer& answer) {
  const bool was_done = autocommit_->verdict() == Verdict::done;
  autocommit_->fold(answer, origins_);
  const Verdict verdict = autocommit_->verdict();
  if (verdict == Verdict::open) {
    return;
  }
  if (verdict != Verdict::done) {
    outcome_.verdict = verdict;
    outcome_.failure = autocommit_->failure();
  } else if (!was_done) {
    pass(step_);
  }
  // The last segment lets the lock go.
  if (origins_.front().part == Part::release || origins_.front().part == Part::lock) {
    autocommit_.reset();
  }
}

void Migrator::pass(std::size_t step) {
  outcome_.mark = plan_.steps[step].mark;
  ++outcome_.steps_done;
  if (plan_.steps[step].is_about_repeatables()) {
    ++outcome_.repeatables_done;
  }
  step_ = step + 1;
  if (step_ == plan_.steps.size()) {
    outcome_.verdict = Verdict::done;
  }
}

void Migrator::end(Verdict verdict, const pq::ServerFields& error, const Segment::Origin& origin) {
  outcome_.verdict = verdict;
  outcome_.failure = failure_of(error, origin, plan_.steps[origin.step], writer_);
}

bool Migrator::leaves_traces() const {
  // Outside a transaction a DISCARD ALL comes last in any case. What is no definition may fire a
  // trigger, or read a view, whose function does anything.
  if (alone_) {
    return false;
  }
  return std::any_of(origins_.begin(), origins_.end(), [this](const auto& origin) {
    if (origin.part != Part::statement) {
      return false;
    }
    const auto& statements = plan_.steps[origin.step].section().script.statements();
    const sql::Statement& statement = statements[origin.statement];
    return !statement.inert || statement.leaves_traces || statement.calls;
  });
}

}  // namespace tenantctl
