// CloudTrail's files on any bytes: the same records however the bytes are cut into pieces, and each is
// an event with its id or none.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "trail/cloudtrail_events.h"
#include "trail/cloudtrail_folder.h"
#include "trail/record_splitter.h"

namespace {

struct Outcome {
  std::vector<std::string> records;
  bool whole = false;
  bool operator==(const Outcome&) const = default;
};

Outcome split(std::string_view bytes, std::size_t chunk) {
  domicile::trail::RecordSplitter splitter;
  Outcome out;
  for (std::size_t at = 0; at < bytes.size(); at += chunk) {
    const auto fed = splitter.feed(bytes.substr(at, chunk), [&](std::string_view record) {
      out.records.emplace_back(record);
    });
    if (!fed) return out;
  }
  out.whole = splitter.finish().has_value();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace trail = domicile::trail;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const Outcome at_once = split(bytes, bytes.size() + 1);
  CHECK(at_once == split(bytes, 1) && at_once == split(bytes, 7));
  for (const std::string& record : at_once.records) {
    const auto event = trail::cloud_event(record, domicile::WallTime{});
    if (event) CHECK(event->request_id.starts_with("ct:") && event->details.size() <= 16);
  }
  (void)trail::cloud_event(bytes, domicile::WallTime{});
  (void)trail::parse_cloud_index(bytes);
  return 0;
}
