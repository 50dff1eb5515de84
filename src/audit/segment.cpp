#include "audit/segment.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace domicile::audit {
namespace {

constexpr std::string_view kPrefix = "events-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::size_t kDigits = 20;

constexpr std::size_t kSectorBytes = 512;

struct Verdict {
  Tail tail = Tail::torn;
  std::string problem;
};

// Whether bytes[begin, end) hold a block that the disk never wrote: NULs up to the end of a sector
// or of the file. A single NUL from a flipped bit is not one.
bool has_unwritten_block(std::string_view bytes, std::size_t begin, std::size_t end) {
  for (std::size_t at = bytes.find('\0', begin); at < end; at = bytes.find('\0', at)) {
    at = std::min(bytes.find_first_not_of('\0', at), bytes.size());
    if (at % kSectorBytes == 0 || at == bytes.size()) return true;
  }
  return false;
}

// At `begin` there is no whole, expected record; `next` is the sequence that should have stood
// there.
Verdict judge_tail(std::string_view bytes, std::size_t begin, std::uint64_t next) {
  std::size_t at = begin;
  bool first = true;
  for (std::size_t newline = 0; (newline = bytes.find('\n', at)) != bytes.npos; at = newline + 1) {
    if (parse_sealed_line(bytes.substr(at, newline - at))) continue;
    const auto frame = parse_line(bytes.substr(at, newline - at));
    if (frame && std::exchange(first, false)) {
      return {Tail::damaged,
              fmt::format("record {} stands where record {} belongs", frame->sequence, next)};
    }
    if (frame && frame->batch > next) {
      return {Tail::damaged,
              fmt::format("record {} is unreadable, and later ones follow it", next)};
    }
    if (!frame && !has_unwritten_block(bytes, at, newline)) {
      return {Tail::damaged, fmt::format("record {} or one that follows it was changed", next)};
    }
    first = false;
  }
  // What is left is the beginning of a line; a whole line with something else in its newline's
  // place is not what an unfinished write leaves.
  const std::string_view rest = bytes.substr(at);
  if (!rest.empty() && parse_line(rest.substr(0, rest.size() - 1))) {
    return {Tail::damaged, fmt::format("the end of record {} was changed", next)};
  }
  return {Tail::torn, fmt::format("the last write, from record {} on, was cut short ({} bytes)",
                                  next, bytes.size() - begin)};
}

}  // namespace

std::string segment_name(std::uint64_t first_sequence) {
  return fmt::format("{}{:020}{}", kPrefix, first_sequence, kSuffix);
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kPrefix.size(), kDigits);
  std::uint64_t first = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), first);
  if (error != std::errc{} || end != digits.data() + digits.size() || first == 0)
    return std::nullopt;
  return first;
}

std::vector<std::uint64_t> segments_in(const std::vector<std::string>& names) {
  std::vector<std::uint64_t> segments;
  for (const auto& name : names) {
    if (const auto first = parse_segment_name(name)) segments.push_back(*first);
  }
  std::ranges::sort(segments);
  return segments;
}

SegmentScan scan_segment(std::string_view bytes, std::uint64_t first_sequence,
                         const VisitLine& visit) {
  SegmentScan scan;
  scan.next_sequence = first_sequence;
  std::string_view sealed;
  for (std::size_t at = 0, newline = 0; (newline = bytes.find('\n', at)) != bytes.npos;
       at = newline + 1) {
    const std::string_view line = bytes.substr(at, newline - at);
    if (const auto found = sealed.empty() ? parse_sealed_line(line) : std::nullopt) {
      sealed = *found;
      continue;
    }
    const auto frame = parse_line(line);
    if (!frame || frame->sequence != scan.next_sequence) break;
    if (visit) visit(*frame, line, sealed);
    sealed = {};
    scan.valid_bytes = newline + 1;
    ++scan.next_sequence;
  }
  if (scan.valid_bytes < bytes.size()) {
    auto [tail, problem] = judge_tail(bytes, scan.valid_bytes, scan.next_sequence);
    scan.tail = tail;
    scan.problem = std::move(problem);
  }
  return scan;
}

}  // namespace domicile::audit
