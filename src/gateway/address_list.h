// Networks by which a door knows the proxies in front of it: "10.2.0.0/16", "::1". An address that
// cannot be read belongs to none of them. IPv4 addresses mapped into IPv6 count as what they are.
// A value; immutable after parse().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::gateway {

class AddressList {
 public:
  // Code::invalid names the entry. Host bits beyond the prefix are refused: they are a slip.
  static Result<AddressList> parse(const std::vector<std::string>& networks);
  bool contains(std::string_view ip) const;
  bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    std::array<std::uint8_t, 16> address;
    unsigned bits;
  };
  std::vector<Network> networks_;
};

// Whether `text` is an IPv4 or IPv6 address and nothing else.
bool is_ip_address(std::string_view text);

}  // namespace domicile::gateway
