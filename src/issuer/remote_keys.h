// The public keys of issuers elsewhere: the other regions', so that a door can tell a person who
// knocked in the wrong region "your home is over there" (it never serves such a token), and those of
// external identity providers, whose tokens are exchanged. Only public keys are fetched.
//
// Each source has a thread of its own, so that one that drips or hangs holds up nobody else's keys.
// It fetches the JWKS at once when the source appears, then every `refresh`; after failures after
// `retry`, twice that, and so on up to `penalty`; and when a token names an unknown key, but then at
// most once per `penalty`: whoever floods a door with invented keys causes one fetch in that time and
// wakes nobody in between. Only a document that is a usable key set counts as fetched, whatever its
// status says. Keys that could not be fetched for `keep` are given up then, not later: their tokens
// are refused from then on. No lock is held across a fetch.
//
// `deliver` is called with keys when they are new or changed, with null when they are given up or
// their source is gone; one call at a time, from the sources' threads and from sources_changed().
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
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

  // `clock` outlives it. The destructor ends the threads, at the latest when the fetches that are
  // under way have run into their deadline.
  RemoteKeys(RemoteKeysOptions options, const Clock& clock, Sources sources, Deliver deliver);
  ~RemoteKeys();
  RemoteKeys(const RemoteKeys&) = delete;
  RemoteKeys& operator=(const RemoteKeys&) = delete;

  // Does not wait for fetches.
  void sources_changed();
  // A token named a key that this issuer did not have. Never blocks; unknown issuers are ignored.
  void unknown_key(std::string_view issuer);

 private:
  class Source;
  const RemoteKeysOptions options_;
  const Clock& clock_;
  const Sources list_;
  const Deliver deliver_;
  std::mutex delivering_;  // one call of deliver_ at a time

  std::mutex changing_;                           // one sources_changed() at a time
  std::vector<std::unique_ptr<Source>> retired_;  // still in their last fetch, perhaps
  std::mutex mutex_;                              // of the map alone: nothing is called under it
  std::map<std::string, std::unique_ptr<Source>, std::less<>> sources_;  // by issuer
};

}  // namespace domicile::issuer
