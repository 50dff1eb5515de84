#include "gateway/request_limits.h"

#include <random>
#include <string>

#include <arpa/inet.h>
#include <xxhash.h>

namespace domicile::gateway {
namespace {

std::uint64_t hash(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace

std::string_view to_string(Limit limit) {
  switch (limit) {
    case Limit::address: return "address";
    case Limit::client: return "client";
    case Limit::organization: return "organization";
  }
  return "";
}

std::string_view reason_of(Limit limit) {
  switch (limit) {
    case Limit::address: return "address_rate_limited";
    case Limit::client: return "client_rate_limited";
    case Limit::organization: return "organization_rate_limited";
  }
  return "";
}

RequestLimits::RequestLimits(const RateOptions& options) : seed_(random_seed()) {
  const std::array rates = {options.address, options.client, options.organization};
  for (std::size_t i = 0; i < kLimits; ++i) {
    if (rates[i].per_second > 0) limiters_[i] = std::make_unique<RateLimiter>(rates[i]);
  }
}

RateLimiter::Verdict RequestLimits::take_address(std::string_view ip, SteadyTime now) {
  constexpr std::size_t kNetworkBytes = 8;
  std::string_view counted = ip;
  in6_addr address{};
  if (ip.contains(':') && ::inet_pton(AF_INET6, std::string(ip).c_str(), &address) == 1) {
    counted = {reinterpret_cast<const char*>(&address), kNetworkBytes};
  }
  return limiters_[static_cast<std::size_t>(Limit::address)]->take(hash(counted, seed_), now);
}

RateLimiter::Verdict RequestLimits::take_client(const domain::Principal& principal,
                                                SteadyTime now) {
  const std::uint64_t issuer = hash(principal.issuer, seed_);
  return limiters_[static_cast<std::size_t>(Limit::client)]->take(
      hash(principal.subject.view(), issuer), now);
}

RateLimiter::Verdict RequestLimits::take_organization(std::string_view key, SteadyTime now) {
  return limiters_[static_cast<std::size_t>(Limit::organization)]->take(hash(key, seed_), now);
}

}  // namespace domicile::gateway
