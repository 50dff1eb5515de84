#include "audit/segment_writer.h"

#include <fmt/format.h>

#include "audit/segment.h"
#include "base/check.h"

namespace domicile::audit {

SegmentWriter::SegmentWriter(std::shared_ptr<Folder> folder, SegmentWriterOptions options)
    : folder_(std::move(folder)), options_(options) {}

Result<SegmentWriter> SegmentWriter::open(std::shared_ptr<Folder> folder,
                                          SegmentWriterOptions options) {
  SegmentWriter writer(std::move(folder), options);
  TRY(writer.recover());
  return writer;
}

Result<void> SegmentWriter::recover() {
  const auto segments = segments_in(TRY(folder_->list()));
  const auto refuse = [](const std::string& name, const std::string& problem) {
    return fail(Code::internal,
                fmt::format("{}: {}. Acknowledged events would be lost by going on: run `domicile "
                            "audit verify`, keep "
                            "the folder as evidence, and start with a new one",
                            name, problem),
                "audit_damaged");
  };
  if (segments.empty() && options_.at_least == 0) return {};
  if (segments.empty()) {
    return refuse(
        "the write-ahead log",
        fmt::format("a checkpoint commits to {} records, and it has none", options_.at_least));
  }
  const std::uint64_t last = segments.back();
  if (segments.front() > options_.needed_from) {
    return refuse(segment_name(segments.front()),
                  fmt::format("the segments before record {} are missing", segments.front()));
  }
  if (segments.size() > 1) {
    const std::string before = segment_name(segments[segments.size() - 2]);
    const std::string content = TRY(folder_->read(before));
    const SegmentScan scan = scan_segment(content, segments[segments.size() - 2]);
    if (scan.tail != Tail::clean) return refuse(before, scan.problem);
    if (scan.next_sequence != last) {
      return refuse(before,
                    fmt::format("it ends before record {}, and the next segment starts with {}",
                                scan.next_sequence, last));
    }
  }
  const std::string name = segment_name(last);
  const std::string content = TRY(folder_->read(name));
  const SegmentScan scan = scan_segment(content, last);
  if (scan.tail == Tail::damaged) return refuse(name, scan.problem);
  if (scan.next_sequence <= options_.at_least) {
    return refuse(name, fmt::format("it ends before record {}, and a checkpoint commits to {}",
                                    scan.next_sequence, options_.at_least));
  }
  auto file = TRY(folder_->open(name));
  if (scan.tail == Tail::torn) {
    TRY(keep_torn(std::string_view(content).substr(scan.valid_bytes), name));
    TRY(file->truncate(scan.valid_bytes));
  }
  // Whole records that were written but not flushed before a crash are valid, and become durable
  // here.
  if (options_.flush) TRY(file->flush());
  file_ = std::move(file);
  first_ = last;
  size_ = scan.valid_bytes;
  next_ = scan.next_sequence;
  return {};
}

Result<void> SegmentWriter::keep_torn(std::string_view bytes, const std::string& segment) {
  const auto names = TRY(folder_->list());
  std::string name;
  for (int attempt = 1;; ++attempt) {
    name = fmt::format("torn-{}-{}", segment.substr(0, segment.rfind('.')), attempt);
    auto file = folder_->create(name);
    if (!file && file.error().code == Code::conflict) continue;
    if (!file) return std::unexpected(file.error());
    TRY((*file)->append(bytes));
    TRY((*file)->flush());
    break;
  }
  torn_bytes_ = bytes.size();
  torn_file_ = name;
  return {};
}

Result<void> SegmentWriter::append(std::string_view bytes, std::uint64_t records) {
  CHECK(records > 0 && bytes.ends_with('\n'));
  if (state_ != State::ready) TRY(repair());
  if (!file_ || size_ >= options_.segment_bytes) TRY(rotate());
  if (auto written = file_->append(bytes); !written) {
    state_ = State::cut_needed;
    (void)repair();  // at once, so that a reader does not see it; if not now, then before the next
                     // batch
    return written;
  }
  if (options_.flush) {
    if (auto flushed = file_->flush(); !flushed) {
      state_ = State::leave_needed;
      (void)repair();
      return flushed;
    }
  }
  size_ += bytes.size();
  next_ += records;
  return {};
}

Result<void> SegmentWriter::repair() {
  if (file_) TRY(file_->truncate(size_));
  if (state_ == State::leave_needed) {
    file_.reset();
    if (size_ == 0) {  // its name is the next one's
      if (auto removed = folder_->remove(segment_name(first_));
          !removed && removed.error().code != Code::not_found) {
        return removed;
      }
    }
  }
  state_ = State::ready;
  return {};
}

Result<void> SegmentWriter::rotate() {
  const std::string name = segment_name(next_);
  auto file = folder_->create(name);
  if (!file && file.error().code == Code::conflict) {
    // Left by a create() that failed half-way; nothing was ever acknowledged from it.
    TRY(folder_->remove(name));
    file = folder_->create(name);
  }
  if (!file) return std::unexpected(file.error());
  file_ = std::move(*file);
  first_ = next_;
  size_ = 0;
  return {};
}

}  // namespace domicile::audit
