#include "pq/copy_rows.h"

#include <libpq-fe.h>

#include <memory>
#include <string_view>
#include <utility>

#include "base/number.h"

namespace tenantctl::pq {
namespace {

using OwnedResult = std::unique_ptr<PGresult, decltype(&PQclear)>;
using OwnedBuffer = std::unique_ptr<char, decltype(&PQfreemem)>;

/// A connection out of pipeline mode for as long as its COPY lasts.
class CopySession {
 public:
  CopySession(Pipeline& pipeline, std::chrono::milliseconds patience)
      : pipeline_(pipeline), patience_(patience) {
    pipeline_.suspend();
  }

  // In the middle of a COPY nothing else can be said to the server.
  ~CopySession() {
    if (!finished_) {
      pipeline_.give_up();
    }
  }

  CopySession(const CopySession&) = delete;
  CopySession& operator=(const CopySession&) = delete;

  void start(const std::string& sql, ExecStatusType wanted) {
    if (PQsendQuery(handle(), sql.c_str()) != 1) {
      lose();
    }
    flush();
    const OwnedResult result = next_result();
    if (PQresultStatus(result.get()) != wanted) {
      refuse(result.get());
    }
  }

  /// False at the end. The row is valid until the next call.
  bool read(std::string_view& row) {
    while (true) {
      char* buffer = nullptr;
      const int length = PQgetCopyData(handle(), &buffer, 1);
      row_.reset(buffer);
      if (length > 0) {
        row = {buffer, static_cast<std::size_t>(length)};
        return true;
      }
      if (length < 0) {
        return false;
      }
      wait(false);
      consume();
    }
  }

  // libpq would keep all that the server has not taken yet.
  void write(std::string_view row) {
    constexpr std::size_t most_pending = 64UL * 1024;
    int taken = 0;
    while ((taken = PQputCopyData(handle(), row.data(), static_cast<int>(row.size()))) == 0) {
      flush();
    }
    if (taken < 0) {
      lose();
    }
    pending_ += row.size();
    if (pending_ >= most_pending) {
      flush();
      pending_ = 0;
    }
  }

  void end_input() {
    int taken = 0;
    while ((taken = PQputCopyEnd(handle(), nullptr)) == 0) {
      flush();
    }
    if (taken < 0) {
      lose();
    }
    flush();
  }

  std::uint64_t finish() {
    const OwnedResult result = next_result();
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      refuse(result.get());
    }
    const auto rows = number_of<std::uint64_t>(PQcmdTuples(result.get()));
    while (next_result() != nullptr) {
    }
    pipeline_.resume();
    finished_ = true;
    return rows;
  }

 private:
  PGconn* handle() { return pipeline_.connection().handle(); }

  void wait(bool write) {
    if (!wait_for(pipeline_.connection().socket(), write, Clock::now() + patience_)) {
      throw ConnectionLost("the connection was lost: nothing moved while rows were copied");
    }
  }

  void consume() {
    if (PQconsumeInput(handle()) != 1) {
      lose();
    }
  }

  void flush() {
    int left = 0;
    while ((left = PQflush(handle())) == 1) {
      wait(true);
      consume();
    }
    if (left < 0) {
      lose();
    }
  }

  OwnedResult next_result() {
    while (PQisBusy(handle()) == 1) {
      wait(false);
      consume();
    }
    return {PQgetResult(handle()), PQclear};
  }

  [[noreturn]] void refuse(const PGresult* result) {
    if (result == nullptr || PQstatus(handle()) == CONNECTION_BAD) {
      lose();
    }
    throw ServerError(fields_of(result));
  }

  [[noreturn]] void lose() {
    std::string text = PQerrorMessage(handle());
    for (char& c : text) {
      c = c == '\n' || c == '\t' ? ' ' : c;
    }
    throw ConnectionLost("the connection was lost while rows were copied: " + text);
  }

  Pipeline& pipeline_;
  std::chrono::milliseconds patience_;
  OwnedBuffer row_{nullptr, PQfreemem};
  std::size_t pending_ = 0;
  bool finished_ = false;
};

}  // namespace

std::uint64_t copy_rows(const CopyEnd& from, const CopyEnd& to,
                        std::chrono::milliseconds patience) {
  CopySession source(from.pipeline, patience);
  CopySession target(to.pipeline, patience);
  source.start(from.sql, PGRES_COPY_OUT);
  target.start(to.sql, PGRES_COPY_IN);
  for (std::string_view row; source.read(row);) {
    target.write(row);
  }
  // If the source failed, so does this, and the target never hears of an end.
  source.finish();
  target.end_input();
  return target.finish();
}

}  // namespace tenantctl::pq
