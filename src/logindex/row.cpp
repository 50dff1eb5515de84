#include "logindex/row.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <simdjson.h>

#include "audit/json_text.h"
#include "base/ip_address.h"

namespace domicile::logindex {
namespace {

using Element = simdjson::dom::element;

constexpr std::int64_t kLastMs = 253'402'300'799'999;  // the end of the year 9999
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string_view text_at(const Element& document, std::string_view pointer) {
  std::string_view text;
  if (document.at_pointer(pointer).get(text) != simdjson::SUCCESS) return {};
  return text;
}

// COPY's text format: tab ends a field, newline a row, backslash escapes. NUL is no text at all.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '\0': out += kReplacement; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\\': out += "\\\\"; break;
      default: out += c;
    }
  }
}

class Row {
 public:
  explicit Row(std::string& out) : out_(out) {}
  void null() { separate(), out_ += "\\N"; }
  void text(std::string_view value) {  // empty: NULL, as the log leaves out what is empty
    if (value.empty()) return null();
    separate();
    append_escaped(out_, value);
  }
  void personal(std::string_view value) { text(value.starts_with("sha256:") ? "" : value); }
  void number(const Element& document, std::string_view pointer) {
    std::int64_t value = 0;
    const bool there = document.at_pointer(pointer).get(value) == simdjson::SUCCESS;
    if (!there || value < 0 || value > 30'000) return null();
    separate();
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void any(std::string_view formatted) { separate(), out_ += formatted; }

 private:
  void separate() {
    if (!first_) out_ += '\t';
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

std::string time_text(std::int64_t ms) {  // 0 to kLastMs
  const std::chrono::milliseconds since(ms);
  const std::chrono::sys_days day{std::chrono::floor<std::chrono::days>(since)};
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(since - day.time_since_epoch());
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}+00", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

// Written anew: jsonb refuses the escape of NUL, which JSON allows.
std::string details_json(const Element& document) {
  simdjson::dom::object members;
  if (document.at_pointer("/unmapped/details").get(members) != simdjson::SUCCESS) return {};
  std::string json;
  audit::JsonText writer(json);
  const auto clean = [](std::string_view text) {
    std::string out(text);
    for (std::size_t at = 0; (at = out.find('\0', at)) != out.npos;) {
      out.replace(at, 1, kReplacement);
    }
    return out;
  };
  writer.open();
  for (const auto& [name, value] : members) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) writer.any_key(clean(name)).text(clean(text));
  }
  writer.close();
  return json;
}

void append_unreadable(std::string& out, std::int64_t log, std::uint64_t sequence) {
  fmt::format_to(std::back_inserter(out),
                 "{}\t1970-01-01 00:00:00+00\t{}\t\\N\t\\N\t\\N\tunreadable", sequence, log);
  for (int column = 7; column < 20; ++column) out += "\t\\N";
  out += '\n';
}

std::string_view first_of(std::string_view one, std::string_view other) {
  return one.empty() ? other : one;
}

std::string_view operation_of(const Element& document) {
  return first_of(
      first_of(text_at(document, "/api/operation"), text_at(document, "/compliance/control")),
      text_at(document, "/unmapped/operation"));
}

std::string_view resource_of(const Element& document) {
  const std::string_view named =
      first_of(text_at(document, "/resources/0/name"), text_at(document, "/unmapped/resource"));
  return first_of(first_of(named, text_at(document, "/database/name")),
                  first_of(text_at(document, "/entity/name"), text_at(document, "/log_name")));
}

}  // namespace

RowFacts append_row(std::string& out, std::int64_t log, std::uint64_t sequence,
                    std::string_view line) {
  thread_local simdjson::dom::parser parser;
  Element document;
  RowFacts facts;
  if (parser.parse(line.data(), line.size()).get(document) != simdjson::SUCCESS ||
      !document.is_object()) {
    append_unreadable(out, log, sequence);
    return facts;
  }
  (void)document.at_pointer("/time").get(facts.time_ms);
  facts.time_ms = std::clamp<std::int64_t>(facts.time_ms, 0, kLastMs);
  const std::string_view organization = text_at(document, "/metadata/tenant_uid");
  const std::string_view own = text_at(document, "/actor/user/org/uid");
  const std::string_view code = text_at(document, "/metadata/event_code");
  const std::string_view operation = operation_of(document);
  const std::string_view ip = text_at(document, "/src_endpoint/ip");
  const std::string_view actor = text_at(document, "/actor/user/uid");
  Row row(out);
  row.any(fmt::format("{}", sequence));
  row.any(time_text(facts.time_ms));
  row.any(fmt::format("{}", log));
  row.number(document, "/class_uid");
  row.number(document, "/activity_id");
  row.number(document, "/severity_id");
  row.text(code);
  row.text(text_at(document, "/unmapped/outcome"));
  row.text(text_at(document, "/cloud/region"));
  row.text(organization);
  row.text(own == organization ? "" : own);
  row.personal(actor);
  row.text(text_at(document, "/actor/user/groups/0/name"));
  row.personal(text_at(document, "/unmapped/details/subject"));
  row.text(is_ip_address(ip) ? ip : "");
  row.text(operation);
  row.text(resource_of(document));
  row.text(
      first_of(text_at(document, "/status_code"), text_at(document, "/compliance/status_code")));
  row.text(text_at(document, "/metadata/correlation_uid"));
  row.text(details_json(document));
  out += '\n';
  facts.erased = code == "log_changed" && operation == "log.erased";
  if (facts.erased) facts.organization = std::string(organization);
  return facts;
}

}  // namespace domicile::logindex
