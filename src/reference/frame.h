// What travels from the publisher to an applier: frames, each the answer to one pull. A frame is a piece of one
// session's stream of records, in order, without gaps; where a frame ends means nothing. Records are pgoutput messages
// as the server wrote them, after the class check, and the rows of a copy between its begin and its end.
//
// Layout: "DRF1", then big-endian: sequence (8), when the pull arrived and when it was answered, by the clock of the
// master's database (8 + 8, microseconds since 1970), then records: kind (1), length (4), bytes. Limits: 64 MiB a frame,
// so 64 MiB a row. Malformed input is an Error (Code::invalid, reason "frame_malformed").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace domicile::reference {

inline constexpr std::size_t kFrameMax = 64u << 20;

enum class RecordKind : char {
  message = 'm',     // one pgoutput message
  copy_begin = 'c',  // JSON: lsn, all, tables (schema, name, columns)
  copy_table = 't',  // the index of the table whose rows follow
  copy_rows = 'r',   // lines of COPY's text format
  copy_end = 'd',    // JSON: sequences
  sequences = 's',   // JSON: sequences
};

struct Record {
  RecordKind kind = RecordKind::message;
  std::string_view bytes;
};

class FrameWriter {
 public:
  FrameWriter();
  void add(RecordKind kind, std::string_view bytes);
  bool empty() const { return bytes_.size() == kHead; }
  std::size_t size() const { return bytes_.size(); }
  // The frame without its stamps; the writer is empty again.
  std::string take(std::uint64_t sequence);

  static constexpr std::size_t kHead = 4 + 3 * 8;

 private:
  std::string bytes_;
};
void stamp(std::string& frame, std::int64_t arrived_us, std::int64_t answered_us);

// Reads a frame's records one after the other; the frame's bytes outlive it.
class FrameReader {
 public:
  static Result<FrameReader> open(std::string_view frame);
  std::uint64_t sequence() const { return sequence_; }
  std::int64_t arrived_us() const { return arrived_us_; }
  std::int64_t answered_us() const { return answered_us_; }
  // nullopt: the end.
  Result<std::optional<Record>> next();

 private:
  std::uint64_t sequence_ = 0;
  std::int64_t arrived_us_ = 0;
  std::int64_t answered_us_ = 0;
  std::string_view rest_;
};

}  // namespace domicile::reference
