#include "http/message.h"

#include <fmt/format.h>

#include "http/problem.h"
#include "wire/http1_chars.h"

namespace domicile::http {
namespace {

std::optional<std::string> decode_form(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? wire::hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? wire::hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const auto& [key, value] : headers) {
    if (key != name) continue;
    if (found) return std::nullopt;  // two of them: nobody can say which one counts
    found = value;
  }
  return found;
}

Response json_response(int status, std::string body) {
  return {status,
          {{"content-type", "application/json"}, {"cache-control", "no-store"}},
          std::move(body)};
}

Response problem(int status, std::string_view reason, std::string_view detail,
                 const Request& request) {
  return {status,
          {{"content-type", "application/problem+json"}, {"cache-control", "no-store"}},
          problem_body(status, reason, detail, request.request_id)};
}

std::string form_encoded(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(static_cast<char>(c));
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> form;
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view piece = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (piece.empty()) continue;
    const std::size_t equals = piece.find('=');
    auto name = decode_form(piece.substr(0, equals));
    auto value = decode_form(equals == std::string_view::npos ? "" : piece.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    for (const auto& [known, ignored] : form) {
      if (known == *name) return std::nullopt;
    }
    form.emplace_back(std::move(*name), std::move(*value));
  }
  return form;
}

}  // namespace domicile::http
