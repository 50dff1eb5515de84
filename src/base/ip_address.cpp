#include "base/ip_address.h"

#include <string>

#include <arpa/inet.h>

namespace domicile {

bool is_ip_address(std::string_view text) {
  constexpr std::size_t kLongest = INET6_ADDRSTRLEN - 1;
  if (text.size() > kLongest) return false;
  const std::string whole(text);
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, whole.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, whole.c_str(), bytes) == 1;
}

}  // namespace domicile
