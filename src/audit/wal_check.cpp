#include "audit/wal_check.h"

#include <fmt/format.h>

#include "audit/segment.h"
#include "tlog/checkpoint.h"

namespace domicile::audit {
namespace {

using tlog::kTileWidth;

class WalCheck {
 public:
  WalCheck(Folder& folder, LogSource& source, std::uint64_t size,
           const std::function<void(std::string)>& problem)
      : folder_(folder), source_(source), size_(size), problem_(problem) {}

  Result<std::optional<WalReport>> run() {
    const auto segments = segments_in(TRY(folder_.list()));
    if (segments.empty()) return std::nullopt;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::string name = segment_name(segments[i]);
      const auto content = folder_.read(name);
      if (!content && content.error().code == Code::not_found) continue;  // published meanwhile
      if (!content) return std::unexpected(content.error());
      check_begin(name, segments[i]);
      scan(name, *content, segments[i], i + 1 == segments.size());
    }
    return report_;
  }

 private:
  void check_begin(const std::string& name, std::uint64_t first) {
    // A node that writes may have published, and removed, more than there was a moment ago.
    const std::uint64_t expected = expected_ != 0 ? expected_ : bundled_now() + 1;
    const bool is_gap = first > expected;
    const bool is_overlap = expected_ != 0 && first < expected;
    if (is_gap) {
      problem_(fmt::format("records {} to {} are missing before {}", expected, first - 1, name));
    } else if (is_overlap) {
      problem_(fmt::format("{} overlaps the segment before it", name));
    }
  }

  std::uint64_t bundled_now() {
    const auto content = source_.read("checkpoint", tlog::kNoteBytesMax);
    const auto note = content ? tlog::parse_note(*content) : std::unexpected(content.error());
    const auto now = note ? tlog::parse_checkpoint(note->text)
                          : Result<tlog::Checkpoint>(std::unexpected(note.error()));
    return std::max(now ? now->size : 0, size_) / kTileWidth * kTileWidth;
  }

  void scan(const std::string& name, std::string_view content, std::uint64_t first, bool is_last) {
    const auto scanned = scan_segment(
        content, first, [&](const LineFrame& frame, std::string_view line, std::string_view) {
          if (report_.first_sequence == 0) report_.first_sequence = frame.sequence;
          report_.last_sequence = frame.sequence;
          ++report_.records;
          if (frame.sequence <= size_ && !is_published(frame.sequence - 1, line)) {
            problem_(fmt::format("{}: record {} is not the entry {} that was published", name,
                                 frame.sequence, frame.sequence - 1));
          }
        });
    ++report_.segments;
    report_.bytes += scanned.valid_bytes;
    expected_ = scanned.next_sequence;
    if (scanned.tail == Tail::torn && is_last) {
      report_.unfinished_bytes = content.size() - scanned.valid_bytes;
    } else if (scanned.tail != Tail::clean) {
      problem_(fmt::format("{}: {}", name, scanned.problem));
    }
  }

  bool is_published(std::uint64_t index, std::string_view line) {
    const std::uint64_t tile = index / kTileWidth;
    if (!tile_ || *tile_ != tile) {
      const unsigned width = tlog::tile_width(0, tile, size_);
      const auto bytes = read_tile(source_, {0, tile, width});
      hashes_ = bytes ? tlog::parse_tile(*bytes, width) : std::nullopt;
      tile_ = tile;
    }
    // A tile that cannot be read is a problem of its own.
    return !hashes_ || (*hashes_)[index % kTileWidth] == tlog::leaf_hash(line);
  }

  Folder& folder_;
  LogSource& source_;
  const std::uint64_t size_;
  const std::function<void(std::string)>& problem_;
  WalReport report_;
  std::uint64_t expected_ = 0;  // the next record's sequence; 0: nothing was read
  std::optional<std::uint64_t> tile_;
  std::optional<std::vector<tlog::Hash>> hashes_;
};

}  // namespace

Result<std::optional<WalReport>> check_wal(Folder& folder, LogSource& source, std::uint64_t size,
                                           const std::function<void(std::string)>& problem) {
  return WalCheck(folder, source, size, problem).run();
}

}  // namespace domicile::audit
