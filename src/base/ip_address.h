// Whether a text is an IP address as people write it.
#pragma once

#include <string_view>

namespace domicile {

bool is_ip_address(std::string_view text);  // IPv4 in four decimals, or IPv6; no port, no prefix

}  // namespace domicile
