// A connection in logical replication mode (replication=database): makes and drops slots, and reads a slot's stream.
// Needs a login with REPLICATION. Blocking, one thread at a time.
//
// Errors as in connection.h; the reason is the SQLSTATE. 42710: the slot is there already; 42704: it is not; 55006: it
// is in use; 55000: wal_level is not logical, or the slot was invalidated.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "pg/connection.h"
#include "wire/pgoutput.h"

namespace domicile::pg {

struct SystemIdentity {
  std::string system_identifier;
  std::int64_t timeline = 0;
  wire::Lsn flushed = 0;  // how far the log is on disk
};

struct NewSlot {
  wire::Lsn consistent_point =
      0;  // transactions that commit before it are in the snapshot, later ones in the stream
  std::string snapshot;  // exported; valid until the next command on this connection, or its end
};

enum class SlotLife { permanent, temporary };

class ReplicationConnection {
 public:
  static Result<ReplicationConnection> open(const std::string& dsn);

  Result<SystemIdentity> identify();
  // Waits for every transaction that writes at this moment, at most `at_most` (57014 then).
  Result<NewSlot> create_slot(const std::string& name, SlotLife life,
                              std::chrono::milliseconds at_most);
  Result<void> drop_slot(const std::string& name);

  // pgoutput of one publication, from `from` or from where the slot is, whichever is later.
  Result<void> start(const std::string& slot, wire::Lsn from, const std::string& publication);
  // The next CopyData, valid until the next call; nullopt: none came within `wait`. Code::unavailable when the stream
  // has ended.
  Result<std::optional<std::string_view>> next(std::chrono::milliseconds wait);
  Result<void> send_status(wire::Lsn written, wire::Lsn flushed);

 private:
  struct Closer {
    void operator()(PGconn* connection) const;
  };
  struct Freer {
    void operator()(char* buffer) const;
  };
  explicit ReplicationConnection(PGconn* connection);
  Result<Rows> command(const std::string& text);
  std::unique_ptr<PGconn, Closer> connection_;
  std::unique_ptr<char, Freer> held_;
};

}  // namespace domicile::pg
