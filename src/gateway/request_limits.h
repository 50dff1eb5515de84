// The three rates of a door: what one address may ask (before its token is looked at), what one
// client may ask (a user or a service, by its token's issuer and subject), and what one organization
// may ask altogether, so that one tenant's load does not become the others'. Shared by all loops;
// without a rate nothing is counted. Mounted handlers are not limited here: the issuer has limits of
// its own. What a proxy asks at /authorize counts for the client that it asks for.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "domain/principal.h"
#include "gateway/rate_limiter.h"

namespace domicile::gateway {

struct RateOptions {
  Rate address;
  Rate client;
  Rate organization;
};

enum class Limit { address, client, organization };
inline constexpr std::size_t kLimits = 3;
std::string_view to_string(Limit limit);
std::string_view reason_of(Limit limit);  // "client_rate_limited"

class RequestLimits {
 public:
  explicit RequestLimits(const RateOptions& options);

  bool has(Limit limit) const { return limiters_[static_cast<std::size_t>(limit)] != nullptr; }
  // Each only where has() says so. An IPv6 address counts as its network of 64 bits.
  RateLimiter::Verdict take_address(std::string_view ip, SteadyTime now);
  RateLimiter::Verdict take_client(const domain::Principal& principal, SteadyTime now);
  RateLimiter::Verdict take_organization(std::string_view key, SteadyTime now);

 private:
  std::uint64_t seed_;
  std::array<std::unique_ptr<RateLimiter>, kLimits> limiters_;
};

}  // namespace domicile::gateway
