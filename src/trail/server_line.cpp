#include "trail/server_line.h"

#include <charconv>
#include <chrono>
#include <vector>

#include <simdjson.h>

namespace domicile::trail {
namespace {

using Element = simdjson::dom::element;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || end != text.end()) return std::nullopt;
  return value;
}

std::string text_of(const Element& object, std::string_view name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::uint64_t number_of(const Element& object, std::string_view name) {
  std::uint64_t value = 0;
  return object[name].get(value) == simdjson::SUCCESS ? value : 0;
}

std::optional<ServerRecord> parse_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  Element object;
  if (parser.parse(text.data(), text.size()).get(object) != simdjson::SUCCESS ||
      !object.is_object()) {
    return std::nullopt;
  }
  ServerRecord record{.time = text_of(object, "timestamp"),
                      .user = text_of(object, "user"),
                      .database = text_of(object, "dbname"),
                      .remote_host = text_of(object, "remote_host"),
                      .session = text_of(object, "session_id"),
                      .line = number_of(object, "line_num"),
                      .pid = number_of(object, "pid"),
                      .ps = text_of(object, "ps"),
                      .severity = text_of(object, "error_severity"),
                      .state = text_of(object, "state_code"),
                      .message = text_of(object, "message"),
                      .context = text_of(object, "context"),
                      .application = text_of(object, "application_name"),
                      .backend = text_of(object, "backend_type")};
  if (record.session.empty() || record.severity.empty() || record.line == 0) return std::nullopt;
  return record;
}

// One record's fields; nullopt when it is no whole CSV record.
std::optional<std::vector<std::string>> csv_fields(std::string_view text) {
  constexpr std::size_t kFieldsMax = 64;
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        out.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        out.back() += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      if (out.size() == kFieldsMax) return std::nullopt;
      out.emplace_back();
    } else if (c == '\n') {
      return i + 1 == text.size() ? std::optional(out) : std::nullopt;
    } else {
      out.back() += c;
    }
  }
  if (quoted) return std::nullopt;
  return out;
}

// "192.0.2.1:5432", "[local]", "::1:5432"
std::string host_of(std::string_view connection) {
  if (connection == "[local]") return std::string(connection);
  return std::string(connection.substr(0, connection.rfind(':')));
}

std::optional<ServerRecord> parse_csv(std::string_view text) {
  constexpr std::size_t kFieldsLeast = 23;  // up to the application's name: 9.0; 14 has 26
  const auto fields = csv_fields(text);
  if (!fields || fields->size() < kFieldsLeast) return std::nullopt;
  const auto& f = *fields;
  const auto pid = number(f[3]), line = number(f[6]);
  if (!pid || !line || f[5].empty() || f[11].empty()) return std::nullopt;
  return ServerRecord{.time = f[0],
                      .user = f[1],
                      .database = f[2],
                      .remote_host = host_of(f[4]),
                      .session = f[5],
                      .line = *line,
                      .pid = *pid,
                      .ps = f[7],
                      .severity = f[11],
                      .state = f[12],
                      .message = f[13],
                      .context = f[18],
                      .application = f[22],
                      .backend = f.size() > 23 ? f[23] : ""};
}

}  // namespace

std::optional<std::size_t> record_end(LogForm form, std::string_view bytes) {
  bool quoted = false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (form == LogForm::csv && bytes[i] == '"') quoted = !quoted;
    if (bytes[i] == '\n' && !quoted) return i + 1;
  }
  return std::nullopt;
}

std::optional<ServerRecord> parse_server_record(LogForm form, std::string_view text) {
  if (text.size() > kServerRecordBytesMax) return std::nullopt;
  return form == LogForm::json ? parse_json(text) : parse_csv(text);
}

std::optional<std::int64_t> server_time_ms(std::string_view time) {
  constexpr std::string_view kForm = "dddd-dd-dd dd:dd:dd.ddd ";
  if (time.size() <= kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = time[i] >= '0' && time[i] <= '9';
    if (kForm[i] == 'd' ? !digit : time[i] != kForm[i]) return std::nullopt;
  }
  const std::string_view zone = time.substr(kForm.size());
  if (zone != "UTC" && zone != "GMT" && zone != "Etc/UTC") return std::nullopt;
  const auto part = [&](std::size_t at, std::size_t size) {
    return static_cast<unsigned>(*number(time.substr(at, size)));
  };
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(part(0, 4))),
                                         std::chrono::month(part(5, 2)),
                                         std::chrono::day(part(8, 2))};
  if (!date.ok() || part(11, 2) > 23 || part(14, 2) > 59 || part(17, 2) > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + part(11, 2)) * 60 + part(14, 2)) * 60'000 + part(17, 2) * 1'000 +
         part(20, 3);
}

}  // namespace domicile::trail
