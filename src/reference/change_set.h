// Changes of reference tables that have come and are not stored yet, in two forms: what they come to for each row (the
// net effect, for storing many at once), and all of them in the master's order (for when that cannot be: a key changed,
// a table was emptied, a row was refused). A pure value; the bytes of the messages outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reference/table_writer.h"
#include "wire/pgoutput.h"

namespace domicile::reference {

// A relation of the stream, tied to the table here.
struct Target {
  QualifiedName name;
  std::shared_ptr<TableWriter>
      writer;  // null: the rows are not stored (a heartbeat, a table that is not copied yet)
  std::size_t columns = 0;  // of the stream's relation
  bool heartbeat = false;
  wire::Lsn from = 0;  // transactions that commit before it are in the copy already
};

enum class Effect : std::uint8_t { insert, update, remove };

struct NetRow {
  Effect effect = Effect::insert;
  std::size_t first = 0;  // of its fields
  bool partial = false;   // some columns are not known: they stay as they are
};

struct Change {
  const Target* target = nullptr;
  std::string_view message;  // pgoutput's
};

struct TableChanges {
  const Target* target = nullptr;
  std::vector<wire::pgoutput::Field> fields;  // rows of target->columns
  std::vector<NetRow> rows;
  std::unordered_map<std::string, std::size_t> by_key;
  std::int64_t inserts = 0, updates = 0, deletes = 0;  // as they came
};

class ChangeSet {
 public:
  // An insert, update or delete of `target`, as parsed from `message`. Code::invalid for a row that does not fit its relation.
  Result<void> add(const Target& target, std::string_view message,
                   const wire::pgoutput::AnyMessage& parsed);
  // Everything of these tables goes.
  void truncate(std::vector<const Target*> targets, std::string_view message);

  bool empty() const { return log_.empty(); }
  std::size_t size() const { return log_.size(); }
  // The net effect says everything: neither a key changed nor a table was emptied.
  bool net() const { return net_; }
  const std::map<QualifiedName, TableChanges>& tables() const { return tables_; }
  std::map<QualifiedName, TableChanges>& tables() { return tables_; }
  const std::vector<Change>& log() const { return log_; }
  void clear();

 private:
  Result<void> put(TableChanges& table, Effect effect, const wire::pgoutput::Tuple& row,
                   const wire::pgoutput::Tuple& old);

  std::map<QualifiedName, TableChanges> tables_;
  std::vector<Change> log_;
  bool net_ = true;
};

// Whether a change can only be stored in its order: a key changes, or a table is emptied.
bool needs_order(const Target& target, const wire::pgoutput::AnyMessage& parsed);

// The key of a row as bytes: equal rows of one table have equal ones. nullopt: a part of it is NULL or not known.
std::optional<std::string> key_of(const TableWriter& writer, const wire::pgoutput::Tuple& row);

}  // namespace domicile::reference
