// The reader of event segments on any bytes: it neither crashes nor reads past what it was given,
// and what it calls whole really is, each record with the sequence that belongs there.
#include <cstdint>
#include <string>

#include "audit/event_reader.h"
#include "audit/segment.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace audit = domicile::audit;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  // The fuzzer cannot guess hashes: the first byte asks for that many genuine records in front.
  std::string file;
  const std::uint64_t genuine = size > 0 ? data[0] % 4 : 0;
  for (std::uint64_t i = 1; i <= genuine; ++i) {
    domicile::domain::Event event;
    event.operation = bytes.substr(0, i * 7);
    event.request_id = bytes;
    event.details = {{bytes.substr(0, 3), bytes}};
    for (auto& record : audit::to_ocsf(event)) {
      if (i % 2 == 0) record.sealed = "sealed";
      audit::append_line(file, record, i, 1);
    }
  }
  file += bytes;
  std::uint64_t expected = 1;
  const auto scan = audit::scan_segment(
      file, 1, [&](const audit::LineFrame& frame, std::string_view line, std::string_view sealed) {
        CHECK(frame.sequence == expected++);
        CHECK(audit::parse_line(line).has_value());
        CHECK(sealed.find('"') == sealed.npos || frame.sequence > genuine);
        (void)audit::facts_of(line);
      });
  CHECK(scan.valid_bytes <= file.size() && scan.next_sequence == expected && expected > genuine);
  CHECK((scan.tail == audit::Tail::clean) == (scan.valid_bytes == file.size()));
  (void)audit::facts_of(bytes);
  (void)audit::parse_segment_name(bytes);
  (void)audit::parse_sealed_line(bytes);
  return 0;
}
