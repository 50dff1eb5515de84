#include "audit/event_reader.h"

#include <charconv>

#include <fmt/format.h>

#include "audit/segment.h"

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

Result<FolderReport> read_events(Folder& folder, const VisitRecord& visit) {
  FolderReport report;
  const auto segments = segments_in(TRY(folder.list()));
  std::uint64_t expected = 1;
  bool stopped = false;
  for (std::size_t i = 0; i < segments.size() && !stopped; ++i) {
    const std::string name = segment_name(segments[i]);
    const std::string content = TRY(folder.read(name));
    if (segments[i] != expected) {
      report.problems.push_back(segments[i] > expected
                                    ? fmt::format("records {} to {} are missing before {}",
                                                  expected, segments[i] - 1, name)
                                    : fmt::format("{} overlaps the segment before it", name));
    }
    const SegmentScan scan = scan_segment(
        content, segments[i], [&](const LineFrame& frame, std::string_view line, std::string_view) {
          if (stopped) return;
          if (report.first_sequence == 0) report.first_sequence = frame.sequence;
          report.last_sequence = frame.sequence;
          ++report.records;
          stopped = visit && !visit(frame.sequence, line);
        });
    ++report.segments;
    report.bytes += scan.valid_bytes;
    expected = scan.next_sequence;
    const bool last = i + 1 == segments.size();
    if (scan.tail == Tail::torn && last) {
      report.unfinished_bytes = content.size() - scan.valid_bytes;
    } else if (scan.tail != Tail::clean) {
      report.problems.push_back(fmt::format("{}: {}", name, scan.problem));
    }
  }
  return report;
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
