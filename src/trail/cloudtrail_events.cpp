#include "trail/cloudtrail_events.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/ip_address.h"

namespace domicile::trail {
namespace {

using domain::Activity;
using domain::Event;
using domain::Outcome;
using Element = simdjson::dom::element;

constexpr std::size_t kRegionsMax = 16;
constexpr std::size_t kDetailBytesMax = 512;

std::string_view text_at(const Element& object, std::string_view pointer) {
  std::string_view text;
  return object.at_pointer(pointer).get(text) == simdjson::SUCCESS ? text : std::string_view();
}

// arn:aws:rds:us-east-1:123:db:x
std::string_view region_of_arn(std::string_view text) {
  if (!text.starts_with("arn:")) return {};
  for (int part = 0; part < 3; ++part) {
    const auto colon = text.find(':');
    if (colon == text.npos) return {};
    text.remove_prefix(colon + 1);
  }
  return text.substr(0, text.find(':'));
}

// Every region that a text of the parameters is, or that an ARN among them lies in.
void collect_regions(const Element& value, std::set<std::string>& out, unsigned depth) {
  if (depth > 32 || out.size() >= kRegionsMax) return;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    const std::string_view in_arn = region_of_arn(text);
    if (region_name(text)) out.emplace(text);
    if (region_name(in_arn)) out.emplace(in_arn);
    return;
  }
  simdjson::dom::object members;
  if (value.get(members) == simdjson::SUCCESS) {
    for (const auto& [name, member] : members) collect_regions(member, out, depth + 1);
    return;
  }
  simdjson::dom::array items;
  if (value.get(items) == simdjson::SUCCESS) {
    for (const Element item : items) collect_regions(item, out, depth + 1);
  }
}

Activity activity_of(std::string_view name, bool read_only) {
  if (read_only) return Activity::read;
  for (const std::string_view verb : {"Create", "Run", "Copy", "Start", "Authorize", "Attach"}) {
    if (name.starts_with(verb)) return Activity::create;
  }
  for (const std::string_view verb :
       {"Delete", "Terminate", "Stop", "Revoke", "Detach", "Disable"}) {
    if (name.starts_with(verb)) return Activity::remove;
  }
  return Activity::update;
}

// The first that is there: what the act was done to.
std::string resource_of(const Element& record) {
  constexpr std::array kPointers{"/resources/0/ARN",
                                 "/requestParameters/bucketName",
                                 "/requestParameters/dBInstanceIdentifier",
                                 "/requestParameters/dBClusterIdentifier",
                                 "/requestParameters/targetDBSnapshotIdentifier",
                                 "/requestParameters/sourceDBSnapshotIdentifier",
                                 "/requestParameters/dBSnapshotIdentifier",
                                 "/requestParameters/sourceSnapshotId",
                                 "/requestParameters/snapshotId",
                                 "/requestParameters/sourceImageId",
                                 "/requestParameters/groupId",
                                 "/requestParameters/keyId",
                                 "/requestParameters/replicationTaskIdentifier",
                                 "/requestParameters/trailName",
                                 "/requestParameters/name"};
  for (const char* pointer : kPointers) {
    if (const auto text = text_at(record, pointer); !text.empty()) {
      return std::string(text.substr(0, kDetailBytesMax));
    }
  }
  return {};
}

void add_detail(Event& event, std::string name, std::string_view value) {
  if (!value.empty()) {
    event.details.emplace_back(std::move(name), std::string(value.substr(0, kDetailBytesMax)));
  }
}

}  // namespace

bool region_name(std::string_view text) {
  if (text.size() < 9 || text.size() > 24 || text.back() < '1' || text.back() > '9') return false;
  std::size_t dashes = 0, run = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '-') {
      if (run == 0) return false;
      ++dashes;
      run = 0;
    } else if (text[i] < 'a' || text[i] > 'z') {
      return false;
    } else {
      ++run;
    }
  }
  return run == 0 && dashes >= 2 && dashes <= 4 && text.find('-') == 2;
}

std::optional<std::int64_t> cloud_time_ms(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t size) {
    unsigned value = 0;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(part(0, 4))),
                                         std::chrono::month(part(5, 2)),
                                         std::chrono::day(part(8, 2))};
  if (!date.ok() || part(11, 2) > 23 || part(14, 2) > 59 || part(17, 2) > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + part(11, 2)) * 60 + part(14, 2)) * 60'000 + part(17, 2) * 1'000;
}

std::optional<Event> cloud_event(std::string_view text, WallTime now) {
  thread_local simdjson::dom::parser parser;
  Element record;
  if (parser.parse(text.data(), text.size()).get(record) != simdjson::SUCCESS) return std::nullopt;
  const auto name = text_at(record, "/eventName"), id = text_at(record, "/eventID");
  const auto source = text_at(record, "/eventSource");
  if (name.empty() || id.empty() || source.empty()) return std::nullopt;
  Event event;
  event.kind = domain::EventKind::cloud_activity;
  event.time = now;
  if (const auto ms = cloud_time_ms(text_at(record, "/eventTime"))) {
    event.time = WallTime(std::chrono::milliseconds(*ms));
  }
  bool read_only = false;
  (void)record.at_pointer("/readOnly").get(read_only);
  event.activity = activity_of(name, read_only);
  event.operation = std::string(name);
  event.request_id = fmt::format("ct:{}", id.substr(0, 64));
  event.resource = resource_of(record);
  const auto error = text_at(record, "/errorCode");
  event.outcome = error.empty() ? Outcome::allowed
                  : error.contains("AccessDenied") || error.contains("Unauthorized")
                      ? Outcome::denied
                      : Outcome::failed;
  event.reason = std::string(error.substr(0, 128));
  const auto arn = text_at(record, "/userIdentity/arn");
  const auto principal = text_at(record, "/userIdentity/principalId");
  event.actor = domain::UserId(std::string(arn.empty() ? principal : arn));
  const auto address = text_at(record, "/sourceIPAddress");
  if (is_ip_address(address)) event.source_ip = std::string(address);
  const auto region = text_at(record, "/awsRegion");
  event.details = {{"source", "cloudtrail"}};
  add_detail(event, "event_source", source);
  add_detail(event, "aws_region", region);
  add_detail(event, "user_type", text_at(record, "/userIdentity/type"));
  add_detail(event, "recipient_account", text_at(record, "/recipientAccountId"));
  if (!is_ip_address(address)) add_detail(event, "called_by", address);
  std::set<std::string> regions;
  Element parameters;
  if (record.at_pointer("/requestParameters").get(parameters) == simdjson::SUCCESS) {
    collect_regions(parameters, regions, 0);
  }
  regions.erase(std::string(region));
  add_detail(event, "other_regions", fmt::format("{}", fmt::join(regions, " ")));
  return event;
}

}  // namespace domicile::trail
