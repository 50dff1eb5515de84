// PostgreSQL's log on any bytes, in both forms: cut into records, read, judged. A record's end lies
// within the bytes, what is judged names its record, and no statement or person stands in an event.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "trail/log_folder.h"
#include "trail/server_events.h"
#include "trail/server_line.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace trail = domicile::trail;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const trail::Expectations expected{.logins = {"pool"}, .superusers = {"postgres"}};
  for (const auto form : {trail::LogForm::json, trail::LogForm::csv}) {
    std::string_view rest = bytes;
    while (const auto end = trail::record_end(form, rest)) {
      CHECK(*end > 0 && *end <= rest.size() && rest[*end - 1] == '\n');
      if (const auto record = trail::parse_server_record(form, rest.substr(0, *end))) {
        const auto event = trail::event_of(*record, expected, domicile::WallTime{});
        if (event) CHECK(event->request_id.starts_with("pg:") && event->actor.empty());
        (void)trail::server_time_ms(record->time);
      }
      rest.remove_prefix(*end);
    }
  }
  if (const auto position = trail::parse_position(bytes)) {
    CHECK(trail::parse_position(trail::to_text(*position)).has_value());
  }
  return 0;
}
