#include "issuer/redirect_uri.h"

#include <algorithm>

#include <fmt/format.h>

#include "http/message.h"

namespace domicile::issuer {
namespace {

constexpr std::size_t kBytesMax = 2048;

std::unexpected<Error> invalid(std::string_view uri, std::string_view why) {
  return fail(Code::invalid, fmt::format("redirect URI {}: {}", uri, why));
}

struct Parts {
  std::string_view scheme, authority, rest;  // rest: path and query
};

Parts split(std::string_view uri) {
  Parts parts;
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos) return parts;
  parts.scheme = uri.substr(0, colon);
  uri.remove_prefix(colon + 1);
  if (!uri.starts_with("//")) {
    parts.rest = uri;
    return parts;
  }
  uri.remove_prefix(2);
  const auto end = std::min(uri.find_first_of("/?"), uri.size());
  parts.authority = uri.substr(0, end);
  parts.rest = uri.substr(end);
  return parts;
}

std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool loopback_address(std::string_view host) { return host == "127.0.0.1" || host == "[::1]"; }

}  // namespace

Result<void> check_redirect_uri(std::string_view uri) {
  if (uri.empty() || uri.size() > kBytesMax) return invalid(uri, "has 1 to 2048 characters");
  if (!std::ranges::all_of(uri, [](char c) { return c > ' ' && c < 127; }))
    return invalid(uri, "has printable ASCII only; encode the rest with %");
  if (uri.contains('#')) return invalid(uri, "must not have a fragment");
  if (uri.contains('*')) return invalid(uri, "must not have a wildcard; register each address");
  if (uri.contains('\\')) return invalid(uri, "must not have a backslash");
  const Parts parts = split(uri);
  if (parts.authority.contains('@')) return invalid(uri, "must not name a user");
  if (parts.scheme == "https" && !parts.authority.empty()) return {};
  if (parts.scheme == "http") {
    const std::string_view host = host_of(parts.authority);
    if (loopback_address(host) || host == "localhost") return {};
    return invalid(uri, "plain http only leads to this machine: use https");
  }
  // A scheme of one's own is a reversed domain name, so that it is one's own (RFC 8252 section
  // 7.1); the likes of javascript: have no dot.
  if (parts.scheme.contains('.') && parts.scheme.front() >= 'a' && parts.scheme.front() <= 'z' &&
      std::ranges::all_of(parts.scheme, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
      }))
    return {};
  return invalid(uri, "starts with https://, http://127.0.0.1 or an own scheme with a dot");
}

bool is_registered(const std::vector<std::string>& registered, std::string_view uri) {
  if (std::ranges::find(registered, uri) != registered.end()) return true;
  const Parts asked = split(uri);
  const std::string_view host = host_of(asked.authority);
  if (asked.scheme != "http" || !loopback_address(host)) return false;
  const std::string_view port = asked.authority.substr(host.size());
  if (!port.empty() &&
      !(port.size() > 1 && port.size() <= 6 && port.front() == ':' &&
        std::ranges::all_of(port.substr(1), [](char c) { return c >= '0' && c <= '9'; })))
    return false;
  return std::ranges::any_of(registered, [&](const std::string& known) {
    const Parts parts = split(known);
    return parts.scheme == "http" && host_of(parts.authority) == host && parts.rest == asked.rest;
  });
}

std::string with_parameters(
    std::string_view uri, const std::vector<std::pair<std::string_view, std::string>>& parameters) {
  std::string out(uri);
  char separator = uri.contains('?') ? '&' : '?';
  for (const auto& [name, value] : parameters) {
    out += separator;
    out += http::form_encoded(name) + '=' + http::form_encoded(value);
    separator = '&';
  }
  return out;
}

std::string source_of(std::string_view uri) {
  const Parts parts = split(uri);
  if (parts.scheme != "https" && parts.scheme != "http") return std::string(parts.scheme) + ':';
  return fmt::format("{}://{}", parts.scheme, parts.authority);
}

}  // namespace domicile::issuer
