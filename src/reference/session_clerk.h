// What a session needs of the database beside its stream, so that no change waits for it: which tables may travel at this
// moment, the sequences behind them, and the line of domicile.reference_peer that people read. A thread and a
// connection of its own.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/secret.h"
#include "pg/connection.h"
#include "reference/table_shape.h"
#include "wire/pgoutput.h"

namespace domicile::reference {

// Tables that may travel, each with the columns whose rows stay (withheld.h).
using TableNames = std::map<QualifiedName, std::string>;

struct ClerkOptions {
  Secret dsn;
  std::string region;  // that follows
  std::string slot;
  std::chrono::milliseconds recheck{250};
};

class SessionClerk {
 public:
  explicit SessionClerk(ClerkOptions options);
  ~SessionClerk();

  // The tables that may travel; the same value as long as nothing changed. Null before the first look. Code::unavailable
  // when it could not be looked: then nothing may travel.
  Result<std::shared_ptr<const TableNames>> allowed();
  // JSON, once for every change.
  std::optional<std::string> take_sequences();
  // For the line that people read.
  void sent(std::uint64_t rows, std::uint64_t bytes);
  void confirmed(wire::Lsn durable);

 private:
  void run();
  Result<void> look();
  Result<void> look_at_sequences();
  Result<void> write_line();

  const ClerkOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::shared_ptr<const TableNames> allowed_;
  std::optional<Error> failed_;
  std::optional<std::string> sequences_;
  std::uint64_t rows_ = 0, bytes_ = 0;
  wire::Lsn confirmed_ = 0;

  // Of the thread.
  std::optional<pg::Connection> sql_;
  std::string last_sequences_;
  std::thread thread_;
};

// The line of domicile.reference_peer.
Result<void> note_peer(pg::Connection& sql, const std::string& region, const std::string& slot,
                       std::string_view state, const Error& error, wire::Lsn confirmed,
                       std::uint64_t rows, std::uint64_t bytes);
Result<std::string> sequences_json(pg::Connection& sql);

}  // namespace domicile::reference
