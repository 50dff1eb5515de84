#include "http/problem.h"

#include <fmt/format.h>

#include "http/exchange.h"
#include "wire/http1_response.h"

namespace domicile::http {
namespace {

// A JSON string; everything that is not plain ASCII text is escaped or replaced.
void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

std::string problem_body(int status, std::string_view reason, std::string_view detail,
                         std::string_view request_id,
                         const std::vector<std::pair<std::string_view, std::string_view>>& more) {
  std::string out = "{\"type\":";
  append_json(out, fmt::format("urn:domicile:problem:{}", reason));
  out += ",\"title\":";
  append_json(out, wire::phrase_of(status));
  out += fmt::format(",\"status\":{},\"reason\":", status);
  append_json(out, reason);
  if (!detail.empty()) {
    out += ",\"detail\":";
    append_json(out, detail);
  }
  out += ",\"request_id\":";
  append_json(out, request_id);
  for (const auto& [name, value] : more) {
    out += ',';
    append_json(out, name);
    out += ':';
    append_json(out, value);
  }
  out += "}\n";
  return out;
}

void Exchange::refuse(int status, std::string_view reason, std::string_view detail,
                      AfterAnswer after, std::string_view fields) {
  const std::string lines = fmt::format("Cache-Control: no-store\r\n{}", fields);
  answer(status, lines, "application/problem+json",
         problem_body(status, reason, detail, request_id()), after);
}

}  // namespace domicile::http
