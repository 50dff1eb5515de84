// "http://host:port" of an upstream. Nothing else: no path, no user, no query.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace domicile::gateway {

struct UpstreamUrl {
  std::string host;  // without brackets
  std::uint16_t port = 80;
};
Result<UpstreamUrl> parse_upstream_url(std::string_view text);

}  // namespace domicile::gateway
