// Stores a ChangeSet in the open transaction of a connection, whose savepoint `net` was just made. First by net effect: inserts and updates from parents to
// children, then deletes from children to parents, each table in a few statements. If that is refused, back to the
// savepoint, and change by change in the master's order, first together and then each with a savepoint of its own; a change that this region's own rules still refuse (class 23
// of SQLSTATE, or an exception that a trigger raised) is put into domicile.reference_quarantine, and the rest goes on.
#pragma once

#include <functional>

#include "pg/connection.h"
#include "reference/change_set.h"

namespace domicile::reference {

struct Refused {
  QualifiedName table;
  Effect effect = Effect::insert;
  std::string key_hash;
  Error error;  // reason: SQLSTATE
};

struct WriteOutcome {
  std::map<QualifiedName, std::int64_t>
      conflicts;  // rows that were not as the master's history implies
  std::vector<Refused> refused;
};

class ChangeWriter {
 public:
  // `order`: parents first. `at`: the position, for the quarantine.
  ChangeWriter(pg::Connection& connection, const std::vector<QualifiedName>& order)
      : connection_(connection), order_(order) {}

  Result<WriteOutcome> write(const ChangeSet& changes, wire::Lsn at);

 private:
  Result<void> write_net(const ChangeSet& changes);
  Result<void> write_rows(const TableChanges& table);
  Result<void> remove_rows(const TableChanges& table);
  Result<void> write_in_order(const ChangeSet& changes, wire::Lsn at);
  Result<void> write_one(const Change& change, const wire::pgoutput::AnyMessage& parsed);
  Result<void> empty_table(const Target& target, wire::Lsn at);
  Result<void> attempt(const Target& target, Effect effect, const std::string& key, wire::Lsn at,
                       const std::function<Result<void>()>& body);

  pg::Connection& connection_;
  const std::vector<QualifiedName>& order_;
  bool careful_ = false;  // a savepoint for each change
  WriteOutcome outcome_;
};

// What stands for a key outside its table.
std::string hash_of_key(std::string_view key);
// Whether a refusal is this region's own rule about the row, and no fault of ours or of the server.
bool is_own_rule(const Error& error);

}  // namespace domicile::reference
