#include "gateway/upstream_url.h"

#include <charconv>

#include <fmt/format.h>

#include "wire/http1_chars.h"

namespace domicile::gateway {

Result<UpstreamUrl> parse_upstream_url(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(Code::invalid,
                fmt::format("upstream {:?}: {}; write it as http://host:port", text, why));
  };
  constexpr std::string_view scheme = "http://";
  if (text.starts_with("https://")) return refuse("TLS to an upstream is not supported");
  if (!text.starts_with(scheme)) return refuse("it does not start with http://");
  std::string_view rest = text.substr(scheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  UpstreamUrl url;
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return refuse("the bracket is not closed");
    url.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const std::size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
  }
  if (url.host.empty() || !wire::all_of_class(url.host, wire::kHostChar)) {
    return refuse("the host is missing, or holds characters no host has");
  }
  if (port.empty()) return url;
  const char* end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data() + 1, end, url.port);
  if (port.front() != ':' || parsed.ec != std::errc{} || parsed.ptr != end || url.port == 0) {
    return refuse("the port is not a number from 1 to 65535");
  }
  return url;
}

}  // namespace domicile::gateway
