// The public keys of the other regions' issuers. A door verifies the token of a person who knocked
// in the wrong region, so that it can answer "your home is over there" to somebody it believes; it
// never serves such a token. Only public keys cross the border.
//
// One thread fetches <door>/.well-known/jwks.json of every other region in the snapshot: at once
// when a region appears or moves, then every `refresh`, after a failure every `retry`, and when a
// token names an unknown key, but then at most once per `penalty` and issuer. Keys that could not
// be refreshed for `keep` are given up: their tokens are refused from then on. No lock is held
// across a fetch.
//
// `deliver` runs on that thread: with keys when they are new or changed, without when they are
// given up.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "domain/registry_snapshot.h"
#include "http/client.h"
#include "token/token_verifier.h"

namespace domicile::issuer {

struct PeerKeysOptions {
  domain::RegionId region;  // our own: its keys come from the issuer itself
  http::ClientOptions client;
  std::chrono::seconds refresh{300};
  std::chrono::seconds retry{1};
  std::chrono::seconds penalty{30};
  std::chrono::seconds keep{3600};
};

class PeerKeys {
 public:
  using Snapshot = std::function<std::shared_ptr<const domain::RegistrySnapshot>()>;
  using Deliver = std::function<void(const std::string& issuer, const token::TrustedIssuer* keys)>;

  // `clock` outlives it. Starts its thread; the destructor ends it, at the latest when the fetch
  // that is under way has run into its deadline.
  PeerKeys(PeerKeysOptions options, const Clock& clock, Snapshot snapshot, Deliver deliver);
  ~PeerKeys();
  PeerKeys(const PeerKeys&) = delete;
  PeerKeys& operator=(const PeerKeys&) = delete;

  void snapshot_changed();
  // A token named a key that this issuer did not have. Never blocks; unknown issuers are ignored.
  void unknown_key(std::string_view issuer);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::issuer
