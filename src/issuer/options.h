// What a region's issuer is told, and what it stands on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "domain/registry_snapshot.h"
#include "issuer/key_ring.h"
#include "issuer/locator.h"
#include "issuer/password.h"
#include "issuer/throttle.h"
#include "store/directory.h"
#include "store/sign_ins.h"

namespace domicile::issuer {

struct IssuerOptions {
  domain::RegionId region;
  std::string url;                    // "https://ca.example.com": `iss`, and base of the endpoints
  std::string audience = "domicile";  // `aud` of every access token
  std::int64_t access_token_s = 900;
  std::int64_t refresh_token_s = 14 * 24 * 3600;   // unused for so long: gone
  std::int64_t refresh_family_s = 90 * 24 * 3600;  // after so long people sign in again
  std::int64_t session_s = 12 * 3600;              // a browser's; then people sign in again
  std::int64_t code_s = 60;                        // an authorization code's
  Secret locator_key;                              // the same in every region
  Secret form_key;  // 16 bytes or more, the same on every node of the region
  PasswordOptions password;
  KeyRingOptions keys;
  Throttle::Options account{.burst = 5};
  Throttle::Options address{.burst = 60,
                            .refill = std::chrono::seconds(2),
                            .lockout = std::chrono::seconds(30),
                            .lockout_max = std::chrono::seconds(300),
                            .capacity = 65536};
  Throttle::Options discovery{.burst = 300,
                              .refill = std::chrono::seconds(1),
                              .lockout = std::chrono::seconds(10),
                              .lockout_max = std::chrono::seconds(300),
                              .capacity = 65536};
};

// A token may be believed for so long after its `exp`, where clocks differ.
inline constexpr std::int64_t kTokenSkewS = 60;

using SnapshotProvider = std::function<std::shared_ptr<const domain::RegistrySnapshot>()>;

struct IssuerPorts {
  store::Directory& directory;
  store::SignIns& sign_ins;
  domain::EventSink& events;
  const Clock& clock;
  SnapshotProvider snapshot;
  DomainHasher hash_domain;  // may be empty: no verified domains here
};

}  // namespace domicile::issuer
