#include "gateway/address_list.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace domicile::gateway {
namespace {

using Address = std::array<std::uint8_t, 16>;
constexpr unsigned kMappedBits = 96;

struct Parsed {
  Address address{};
  bool v4 = false;
};

std::optional<Parsed> parse_address(std::string_view text) {
  const std::string owned(text);  // inet_pton wants an end
  if (owned.size() != std::char_traits<char>::length(owned.c_str())) return std::nullopt;
  Parsed out;
  if (::inet_pton(AF_INET, owned.c_str(), out.address.data() + 12) == 1) {
    out.address[10] = out.address[11] = 0xff;
    out.v4 = true;
    return out;
  }
  if (::inet_pton(AF_INET6, owned.c_str(), out.address.data()) == 1) return out;
  return std::nullopt;
}

bool same_prefix(const Address& a, const Address& b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

bool has_bits_past(const Address& address, unsigned bits) {
  for (unsigned i = bits; i < 128; ++i) {
    if ((address[i / 8] >> (7 - i % 8) & 1) != 0) return true;
  }
  return false;
}

}  // namespace

Result<AddressList> AddressList::parse(const std::vector<std::string>& networks) {
  AddressList list;
  for (const std::string& text : networks) {
    const auto slash = text.find('/');
    const auto parsed = parse_address(std::string_view(text).substr(0, slash));
    if (!parsed) {
      return fail(Code::invalid,
                  fmt::format("\"{}\" is no network: write 10.2.0.0/16 or 10.2.0.7", text));
    }
    unsigned bits = parsed->v4 ? 32 : 128;
    if (slash != std::string::npos) {
      const std::string_view digits = std::string_view(text).substr(slash + 1);
      unsigned given = 0;
      const auto [end, error] = std::from_chars(digits.begin(), digits.end(), given);
      if (error != std::errc{} || end != digits.end() || given > bits) {
        return fail(Code::invalid, fmt::format("\"{}\": the prefix has 0 to {} bits", text, bits));
      }
      bits = given;
    }
    if (parsed->v4) bits += kMappedBits;
    if (has_bits_past(parsed->address, bits)) {
      return fail(
          Code::invalid,
          fmt::format("\"{}\" has bits set past its prefix: which network is meant?", text));
    }
    list.networks_.push_back({parsed->address, bits});
  }
  return list;
}

bool AddressList::contains(std::string_view ip) const {
  const auto parsed = parse_address(ip);
  return parsed && std::ranges::any_of(networks_, [&](const Network& network) {
           return same_prefix(parsed->address, network.address, network.bits);
         });
}

bool is_ip_address(std::string_view text) { return parse_address(text).has_value(); }

}  // namespace domicile::gateway
