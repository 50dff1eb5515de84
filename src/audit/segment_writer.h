// The ledger's hand on the disk: opens a folder of segments, repairs what a crash left, and appends
// batches, so that after each call either the whole batch is durable or none of it will ever be
// read. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "audit/storage.h"

namespace domicile::audit {

struct SegmentWriterOptions {
  std::uint64_t segment_bytes = 64u << 20;
  bool flush = true;
  // What the published log still needs: segments before this record may have been removed, and all
  // records up to `at_least` must be there.
  std::uint64_t needed_from = 1;
  std::uint64_t at_least = 0;
};

class SegmentWriter {
 public:
  static Result<SegmentWriter> open(std::shared_ptr<Folder> folder, SegmentWriterOptions options);

  // `bytes`: framed lines of the records next_sequence() .. next_sequence() + records - 1.
  Result<void> append(std::string_view bytes, std::uint64_t records);

  std::uint64_t next_sequence() const { return next_; }
  std::uint64_t torn_bytes() const { return torn_bytes_; }
  const std::string& torn_file() const { return torn_file_; }

 private:
  enum class State {
    ready,
    cut_needed,   // a write failed: the segment may hold part of a batch that nobody was promised
    leave_needed  // a flush failed: cut, and go on in a new segment, whose pages are all new
  };

  SegmentWriter(std::shared_ptr<Folder> folder, SegmentWriterOptions options);
  Result<void> recover();
  Result<void> keep_torn(std::string_view bytes, const std::string& segment);
  Result<void> repair();
  Result<void> rotate();

  std::shared_ptr<Folder> folder_;
  SegmentWriterOptions options_;
  std::unique_ptr<AppendFile> file_;  // null: no segment is open
  std::uint64_t first_ = 0;           // of the open segment
  std::uint64_t size_ = 0;            // durable bytes of the open segment
  std::uint64_t next_ = 1;
  State state_ = State::ready;
  std::uint64_t torn_bytes_ = 0;
  std::string torn_file_;
};

}  // namespace domicile::audit
