#include "audit/event_reader.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "audit/log_reader.h"
#include "audit/segment.h"
#include "tlog/tile.h"

namespace domicile::audit {
namespace {

// The text value after `name` (with its quotes and colon), up to the closing quote.
std::string_view text_after(std::string_view part, std::size_t at, std::string_view name) {
  if (at == part.npos) return {};
  const std::size_t begin = at + name.size();
  std::size_t end = begin;
  while (end < part.size() && part[end] != '"') end += part[end] == '\\' ? 2 : 1;
  return part.substr(begin, std::min(end, part.size()) - begin);
}

std::string_view first_text(std::string_view part, std::string_view name) {
  return text_after(part, part.find(name), name);
}

}  // namespace

namespace {

class Reading {
 public:
  Reading(Folder& folder, const VisitRecord& visit) : folder_(folder), visit_(visit) {}

  Result<FolderReport> read() {
    LogReader log(folder_);
    expected_ = TRY(log.first());
    for (auto wal = TRY(wal_begin()); !stopped_ && expected_ < wal; wal = TRY(wal_begin())) {
      TRY(bundles(log, wal));
    }
    if (!stopped_) TRY(segments());
    return std::move(report_);
  }

 private:
  // Where the write-ahead log begins; without one, the end of all things.
  Result<std::uint64_t> wal_begin() {
    const auto segments = segments_in(TRY(folder_.list()));
    return segments.empty() ? expected_ : segments.front();
  }

  Result<void> bundles(LogReader& log, std::uint64_t end) {
    while (!stopped_ && expected_ < end) {
      const std::uint64_t bundle = (expected_ - 1) / tlog::kTileWidth;
      auto entries = log.read_bundle(expected_, tlog::kTileWidth);
      const std::uint64_t next = (bundle + 1) * tlog::kTileWidth + 1;
      ++report_.bundles;
      if (!entries) {
        report_.problems.push_back(entries.error().message);
        expected_ = std::min(next, end);
        continue;
      }
      for (const LogEntry& entry : *entries) {
        if (entry.sequence >= end || stopped_) break;
        const auto frame = parse_line(entry.line);
        if (!frame || frame->sequence != entry.sequence) {
          report_.problems.push_back(
              fmt::format("{}: record {} was changed", tlog::bundle_path(bundle), entry.sequence));
          continue;
        }
        report_.bytes += entry.line.size() + 1;
        take({entry.sequence, entry.line, entry.sealed});
      }
      expected_ = std::min(next, end);
    }
    return {};
  }

  Result<void> segments();

  void take(const EventRecord& record) {
    if (stopped_) return;
    if (report_.first_sequence == 0) report_.first_sequence = record.sequence;
    report_.last_sequence = record.sequence;
    ++report_.records;
    stopped_ = visit_ && !visit_(record);
  }

  Folder& folder_;
  const VisitRecord& visit_;
  FolderReport report_;
  std::uint64_t expected_ = 1;
  bool stopped_ = false;
};

Result<void> Reading::segments() {
  const auto segments = segments_in(TRY(folder_.list()));
  for (std::size_t i = 0; i < segments.size() && !stopped_; ++i) {
    const std::string name = segment_name(segments[i]);
    const std::string content = TRY(folder_.read(name));
    if (segments[i] != expected_) {
      report_.problems.push_back(segments[i] > expected_
                                     ? fmt::format("records {} to {} are missing before {}",
                                                   expected_, segments[i] - 1, name)
                                     : fmt::format("{} overlaps the segment before it", name));
    }
    const SegmentScan scan =
        scan_segment(content, segments[i],
                     [&](const LineFrame& frame, std::string_view line, std::string_view sealed) {
                       take({frame.sequence, line, sealed});
                     });
    ++report_.segments;
    report_.bytes += scan.valid_bytes;
    expected_ = scan.next_sequence;
    const bool last = i + 1 == segments.size();
    if (scan.tail == Tail::torn && last) {
      report_.unfinished_bytes = content.size() - scan.valid_bytes;
    } else if (scan.tail != Tail::clean) {
      report_.problems.push_back(fmt::format("{}: {}", name, scan.problem));
    }
  }
  return {};
}

}  // namespace

Result<FolderReport> read_events(Folder& folder, const VisitRecord& visit) {
  return Reading(folder, visit).read();
}

RecordFacts facts_of(std::string_view line) {
  RecordFacts facts;
  // A quote inside a value is escaped, so `"name":"` can only be a member. Names of details are the
  // caller's; they stand in `unmapped`, behind everything that is looked for from the front.
  const std::size_t metadata_at = std::min(line.find("\"metadata\":{"), line.size());
  const std::size_t unmapped_at = std::min(line.find(",\"unmapped\":{"), line.size());
  const std::string_view front =
      line.substr(metadata_at, unmapped_at > metadata_at ? unmapped_at - metadata_at : 0);
  facts.kind = first_text(front, "\"event_code\":\"");
  facts.organization = first_text(front, "\"tenant_uid\":\"");
  facts.request_id = first_text(front, "\"correlation_uid\":\"");
  constexpr std::string_view kTime = ",\"time\":";
  if (const std::size_t at = front.find(kTime); at != front.npos) {
    std::from_chars(front.data() + at + kTime.size(), front.data() + front.size(), facts.time_ms);
  }
  constexpr std::string_view kOutcome = "\"outcome\":\"";
  facts.outcome = text_after(line, line.rfind(kOutcome), kOutcome);
  return facts;
}

bool EventFilter::admits(const RecordFacts& facts) const {
  if (!kind.empty() && facts.kind != kind) return false;
  if (!outcome.empty() && facts.outcome != outcome) return false;
  if (!organization.empty() && facts.organization != organization) return false;
  if (from_ms && facts.time_ms < *from_ms) return false;
  return !to_ms || facts.time_ms < *to_ms;
}

}  // namespace domicile::audit
