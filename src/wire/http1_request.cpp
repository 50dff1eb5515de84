#include "wire/http1_request.h"

#include <utility>

#include "wire/http1_chars.h"
#include "wire/trace_parent.h"

namespace domicile::wire {
namespace {

constexpr std::size_t kMethodBytesMax = 32;

Method method_of(std::string_view name) {
  if (name == "GET") return Method::get;
  if (name == "POST") return Method::post;
  if (name == "PUT") return Method::put;
  if (name == "HEAD") return Method::head;
  if (name == "PATCH") return Method::patch;
  if (name == "DELETE") return Method::remove;
  if (name == "OPTIONS") return Method::options;
  return Method::other;
}

// host[:port] without user information; RFC 9110 section 7.2.
bool is_valid_host(std::string_view host) {
  if (host.empty() || host.size() > 255 || !all_of_class(host, kHostChar)) return false;
  std::string_view port;
  if (host.front() == '[') {
    const std::size_t close = host.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    for (const char c : host.substr(1, close - 1)) {
      if (hex_value(c) < 0 && c != ':' && c != '.') return false;
    }
    port = host.substr(close + 1);
  } else {
    const std::size_t colon = host.find(':');
    const std::string_view name = host.substr(0, colon);
    if (name.empty() || name.find_first_of("[]") != std::string_view::npos) return false;
    port = colon == std::string_view::npos ? std::string_view{} : host.substr(colon);
  }
  if (port.empty()) return true;
  if (port.size() < 2 || port.size() > 6 || port.front() != ':') return false;
  for (const char c : port.substr(1)) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

}  // namespace

Fault RequestHead::parse(std::string_view head, const HeadLimits& limits) {
  size = head.size();
  if (head.size() > limits.head_bytes_max) return Fault::head_too_large;
  const std::size_t end = head.find('\n');
  if (end == std::string_view::npos || end == 0 || head[end - 1] != '\r') return Fault::bare_lf;
  if (!head.ends_with("\r\n\r\n")) return Fault::bad_request_line;
  if (const Fault fault = parse_line(head.substr(0, end - 1), limits); fault != Fault::none) {
    return fault;
  }
  std::string_view authority;
  if (const Fault fault = parse_target(authority); fault != Fault::none) return fault;
  const std::string_view lines = head.substr(end + 1, head.size() - 2 - (end + 1));
  if (const Fault fault = section.parse(lines, limits); fault != Fault::none) return fault;
  return apply_fields(authority);
}

Fault RequestHead::set_method(std::string_view name) {
  if (name.empty() || name.size() > kMethodBytesMax || !all_of_class(name, kTokenChar)) {
    return Fault::bad_method;
  }
  method_name = name;
  method = method_of(name);
  return Fault::none;
}

Fault RequestHead::parse_line(std::string_view line, const HeadLimits& limits) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos || first == 0) return Fault::bad_request_line;
  if (const Fault fault = set_method(line.substr(0, first)); fault != Fault::none) return fault;
  line.remove_prefix(first + 1);
  const std::size_t second = line.find(' ');
  if (second == std::string_view::npos || second == 0) return Fault::bad_request_line;
  target = line.substr(0, second);
  const std::string_view version = line.substr(second + 1);
  if (version == "HTTP/1.1") {
    minor_version = 1;
  } else if (version == "HTTP/1.0") {
    minor_version = 0;
  } else {
    const bool looks_like_version = version.size() == 8 && version.starts_with("HTTP/") &&
                                    version[5] >= '0' && version[5] <= '9' && version[6] == '.' &&
                                    version[7] >= '0' && version[7] <= '9';
    return looks_like_version ? Fault::unsupported_version : Fault::bad_request_line;
  }
  if (target.size() > limits.target_bytes_max) return Fault::target_too_long;
  return Fault::none;
}

// Origin-form, or absolute-form whose authority is given back; nothing else (no `*`, no CONNECT).
Fault RequestHead::parse_target(std::string_view& authority) {
  std::string_view rest = target;
  if (rest.front() != '/') {
    for (const std::string_view scheme : {"http://", "https://"}) {
      if (rest.size() > scheme.size() && equals_lower(rest.substr(0, scheme.size()), scheme)) {
        rest.remove_prefix(scheme.size());
        const std::size_t slash = rest.find_first_of("/?#");
        authority = rest.substr(0, slash);
        if (slash == std::string_view::npos || rest[slash] != '/') return Fault::bad_target;
        rest.remove_prefix(slash);
        break;
      }
    }
    if (authority.empty()) return Fault::bad_target;
  }
  const std::size_t question = rest.find('?');
  path = rest.substr(0, question);
  has_query = question != std::string_view::npos;
  query = has_query ? rest.substr(question + 1) : std::string_view{};
  // The path has its own, finer checks; a fragment never belongs in a request.
  if (!all_of_class(query, kVisible) || query.contains('#')) return Fault::bad_target;
  return Fault::none;
}

Fault RequestHead::apply_fields(std::string_view authority) {
  host = authorization = trace_parent = trace_id = {};
  has_authorization = expect_continue = false;
  bool has_host = false;
  bool has_trace = false;
  for (const Field& field : section.fields()) {
    switch (field.kind) {
      case FieldKind::host:
        if (has_host) return Fault::duplicate_host;
        has_host = true;
        host = field.value;
        break;
      case FieldKind::authorization:
        if (has_authorization) return Fault::duplicate_authorization;
        has_authorization = true;
        authorization = field.value;
        break;
      case FieldKind::expect:
        if (!equals_lower(field.value, "100-continue")) return Fault::bad_expectation;
        expect_continue = minor_version == 1;
        break;
      case FieldKind::transfer_encoding:
        if (minor_version == 0) return Fault::encoding_on_http10;
        break;
      case FieldKind::trace_parent: {
        const auto id = has_trace || field.nominated ? std::nullopt : trace_id_of(field.value);
        has_trace = true;
        trace_parent = id ? field.value : std::string_view();
        trace_id = id.value_or(std::string_view());
        break;
      }
      default: break;
    }
  }
  if (!has_host && minor_version == 1) return Fault::missing_host;
  if (has_host && !is_valid_host(host)) return Fault::bad_host;
  if (!authority.empty() && (!has_host || !equals_ignoring_case(authority, host))) {
    return Fault::foreign_authority;
  }
  persistent = minor_version == 1 ? !section.close : section.keep_alive && !section.close;
  return Fault::none;
}

std::optional<std::string_view> only_field(const RequestHead& head, std::string_view lower) {
  std::string_view found;
  bool seen = false;
  for (const Field& field : head.section.fields()) {
    if (!equals_lower(field.name, lower)) continue;
    if (std::exchange(seen, true)) return std::nullopt;
    found = field.value;
  }
  return found;
}

}  // namespace domicile::wire
