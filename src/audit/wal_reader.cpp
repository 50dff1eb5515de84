#include "audit/wal_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "audit/segment.h"

namespace domicile::audit {
namespace {
constexpr std::size_t kReadBytes = 1u << 20;

struct Piece {
  LogEntry entry;
  std::size_t bytes = 0;  // 0: no whole record
};

// The record at the front of `bytes`.
Result<Piece> take_record(std::string_view bytes, std::uint64_t expected, std::uint64_t segment) {
  Piece piece;
  std::size_t at = 0;
  for (std::size_t newline = 0; (newline = bytes.find('\n', at)) != bytes.npos; at = newline + 1) {
    const std::string_view line = bytes.substr(at, newline - at);
    if (const auto sealed = at == 0 ? parse_sealed_line(line) : std::nullopt) {
      piece.entry.sealed = *sealed;
      continue;
    }
    const auto frame = parse_line(line);
    if (!frame || frame->sequence != expected) {
      return fail(Code::internal,
                  fmt::format("{}: record {} is not what stands in its place",
                              segment_name(segment), expected),
                  "audit_damaged");
    }
    piece.entry.sequence = expected;
    piece.entry.line = line;
    piece.bytes = newline + 1;
    return piece;
  }
  return piece;
}

}  // namespace

Result<std::optional<std::uint64_t>> WalReader::first() {
  const auto segments = segments_in(TRY(folder_->list()));
  if (segments.empty()) return std::nullopt;
  return segments.front();
}

Result<void> WalReader::seek(std::uint64_t sequence) {
  const auto segments = segments_in(TRY(folder_->list()));
  const auto after = std::ranges::upper_bound(segments, sequence);
  next_ = 0;
  if (segments.empty() && sequence == 1) return {};
  if (after == segments.begin()) {
    return fail(Code::not_found,
                fmt::format("record {} is no longer in the write-ahead log", sequence));
  }
  segment_ = *(after - 1);
  offset_ = 0;
  buffer_.clear();
  at_ = 0;
  next_ = segment_;
  while (next_ < sequence) {
    const Piece piece = TRY(take_record(std::string_view(buffer_).substr(at_), next_, segment_));
    if (piece.bytes > 0) {
      at_ += piece.bytes;
      ++next_;
    } else if (!TRY(fill(kReadBytes))) {
      next_ = 0;  // not written yet
      return {};
    }
  }
  return {};
}

Result<bool> WalReader::fill(std::size_t bytes) {
  buffer_.erase(0, at_);
  offset_ += at_;
  at_ = 0;
  auto more = folder_->read_part(segment_name(segment_), offset_ + buffer_.size(), bytes);
  // A segment that was read to its end may be gone: what comes next is in another one.
  if (!more && more.error().code == Code::not_found && buffer_.empty()) return false;
  if (!more) return std::unexpected(std::move(more).error());
  buffer_ += *more;
  return !more->empty();
}

Result<bool> WalReader::next_segment() {
  const auto segments = segments_in(TRY(folder_->list()));
  if (!std::ranges::binary_search(segments, next_) || next_ == segment_) return false;
  segment_ = next_;
  offset_ = 0;
  buffer_.clear();
  at_ = 0;
  return true;
}

Result<std::vector<LogEntry>> WalReader::read(std::uint64_t from, std::size_t count,
                                              std::size_t bytes_max) {
  if (next_ != from || next_ == 0) TRY(seek(from));
  std::vector<LogEntry> entries;
  std::size_t bytes = 0;
  while (next_ != 0 && entries.size() < count && bytes < bytes_max) {
    auto piece = take_record(std::string_view(buffer_).substr(at_), next_, segment_);
    if (!piece) {
      next_ = 0;  // the writer may have cut a failed batch away: read anew
      if (!entries.empty()) return entries;
      return std::unexpected(std::move(piece).error());
    }
    if (piece->bytes > 0) {
      at_ += piece->bytes;
      bytes += piece->bytes;
      ++next_;
      entries.push_back(std::move(piece->entry));
    } else if (!TRY(fill(kReadBytes)) && !TRY(next_segment())) {
      break;
    }
  }
  // What was read ahead may be cut away and written anew before the next call.
  buffer_.resize(at_);
  return entries;
}

}  // namespace domicile::audit
