// The messages of PostgreSQL's logical replication (pgoutput, protocol version 1) as values: what a walsender puts into
// its CopyData, and what it takes in return. A pure codec: no sockets, no catalog, and nothing is kept between
// messages. Views point into the bytes that were parsed.
//
// Strict: a message that is longer or shorter than its fields, an unknown type or an impossible count is an Error
// (Code::invalid, reason "pgoutput_malformed"); nothing is read past the end.
//
// PostgreSQL 15 documentation, 55.4 (streaming replication protocol), 55.5 and 55.9 (logical replication messages).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace domicile::wire {

// A place in the write-ahead log.
using Lsn = std::uint64_t;
std::string format_lsn(Lsn lsn);               // "16/B374D848"
Result<Lsn> parse_lsn(std::string_view text);  // Code::invalid

namespace pgoutput {

struct Begin {
  Lsn commit = 0;                 // where the transaction's commit record starts
  std::int64_t committed_us = 0;  // since 2000-01-01 UTC
  std::uint32_t xid = 0;
};
struct Commit {
  Lsn commit = 0;
  Lsn end = 0;  // just behind the commit record: the position to go on from
  std::int64_t committed_us = 0;
};
struct Origin {
  Lsn commit = 0;
  std::string_view name;
};
struct Column {
  bool key = false;  // part of the replica identity
  std::string_view name;
  std::uint32_t type = 0;
  std::int32_t modifier = -1;
};
struct Relation {
  std::uint32_t id = 0;
  std::string_view schema;  // "" means pg_catalog
  std::string_view name;
  char identity = 'd';  // d default, n nothing, f full, i index
  std::vector<Column> columns;
};
struct Type {
  std::uint32_t id = 0;
  std::string_view schema;
  std::string_view name;
};

enum class FieldKind : std::uint8_t { null, unchanged, text, binary };
struct Field {
  FieldKind kind = FieldKind::null;
  std::string_view value;  // "" for null and unchanged
};
using Tuple = std::vector<Field>;

struct Insert {
  std::uint32_t relation = 0;
  Tuple row;
};
struct Update {
  std::uint32_t relation = 0;
  char old_kind =
      0;  // 'K': `old` holds the key's columns; 'O': the whole old row; 0: the key did not change
  Tuple old;
  Tuple row;
};
struct Delete {
  std::uint32_t relation = 0;
  char old_kind = 'K';
  Tuple old;
};
struct Truncate {
  bool cascade = false;
  bool restart_identity = false;
  std::vector<std::uint32_t> relations;
};
struct Message {
  bool transactional = false;
  Lsn at = 0;
  std::string_view prefix;
  std::string_view content;
};

using AnyMessage =
    std::variant<Begin, Commit, Origin, Relation, Type, Insert, Update, Delete, Truncate, Message>;

Result<AnyMessage> parse(std::string_view bytes);
// The relation that a change is about, without parsing the rest: for whoever only passes it on. Truncate names
// several, and other messages none.
Result<std::vector<std::uint32_t>> relations_of(std::string_view bytes);

}  // namespace pgoutput

namespace replication {

// What a walsender sends inside CopyData.
struct Data {
  Lsn start = 0;
  Lsn end = 0;               // of the server's log, when it was sent
  std::string_view message;  // pgoutput's
};
struct Keepalive {
  Lsn end = 0;  // everything before it was decoded and sent, as far as it concerns us
  bool reply = false;
};
using AnyCopyData = std::variant<Data, Keepalive>;
Result<AnyCopyData> parse(std::string_view bytes);

// The client's standby status update. `now_us`: microseconds since 2000-01-01 UTC.
std::string status_update(Lsn written, Lsn flushed, std::int64_t now_us);

}  // namespace replication
}  // namespace domicile::wire
