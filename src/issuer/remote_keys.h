// The public keys of issuers elsewhere: the other regions', so that a door can tell a person who
// knocked in the wrong region "your home is over there" (it never serves such a token), and those of
// external identity providers, whose tokens are exchanged. Only public keys are fetched.
//
// One thread fetches each source's JWKS: at once when a source appears or changes, then every
// `refresh`, after a failure every `retry`, and when a token names an unknown key, but then at most
// once per `penalty` and issuer. Keys that could not be refreshed for `keep` are given up: their
// tokens are refused from then on. No lock is held across a fetch.
//
// `deliver` runs on that thread: with keys when they are new or changed, with null when they are
// given up.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "token/key_set.h"

namespace domicile::issuer {

struct RemoteKeysOptions {
  http::ClientOptions client;
  std::chrono::seconds refresh{300};
  std::chrono::seconds retry{1};
  std::chrono::seconds penalty{30};
  std::chrono::seconds keep{3600};
};

struct KeySource {
  std::string issuer;
  std::string url;  // of the JWKS
  bool operator==(const KeySource&) const = default;
};

class RemoteKeys {
 public:
  using Sources = std::function<std::vector<KeySource>()>;
  using Deliver =
      std::function<void(const std::string& issuer, std::shared_ptr<const token::KeySet> keys)>;

  // `clock` outlives it. Starts its thread; the destructor ends it, at the latest when the fetch
  // that is under way has run into its deadline.
  RemoteKeys(RemoteKeysOptions options, const Clock& clock, Sources sources, Deliver deliver);
  ~RemoteKeys();
  RemoteKeys(const RemoteKeys&) = delete;
  RemoteKeys& operator=(const RemoteKeys&) = delete;

  void sources_changed();
  // A token named a key that this issuer did not have. Never blocks; unknown issuers are ignored.
  void unknown_key(std::string_view issuer);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::issuer
