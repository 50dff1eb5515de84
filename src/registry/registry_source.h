// Where a node's follower gets the registry's changes from: the store itself in the master region,
// the master region's node elsewhere. One thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "http/client.h"
#include "registry/registry_store.h"

namespace domicile::registry {

class RegistrySource {
 public:
  virtual ~RegistrySource() = default;
  // What changed after `known`. May take up to `wait` when nothing has changed yet, or answer at
  // once.
  virtual Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit,
                                        std::chrono::milliseconds wait) = 0;
  // From any thread: files were replaced, so the next question goes over a new connection.
  virtual void renew() {}
};

// Does not wait: the follower asks the database again after its poll interval.
class StoreSource final : public RegistrySource {
 public:
  explicit StoreSource(RegistryStore& store) : store_(store) {}
  Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit,
                                std::chrono::milliseconds wait) override;

 private:
  RegistryStore& store_;
};

// GET /v1/registry/changes of the master region's door, with the peer token.
class PeerSource final : public RegistrySource {
 public:
  struct Options {
    std::string url;  // base of the master region's door, "https://ca.example.com"
    Secret peer_token;
    std::filesystem::path ca_file;           // empty: the system's authorities
    std::string region;                      // of this node; the certificate must name it as well
    std::filesystem::path certificate_file;  // this node's; empty: none is shown
    std::filesystem::path key_file;
    std::size_t body_bytes_max = 32u << 20;
  };
  explicit PeerSource(Options options);
  Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit,
                                std::chrono::milliseconds wait) override;
  void renew() override { renew_ = true; }

 private:
  Options options_;
  std::atomic<bool> renew_{false};
  http::Client client_;
};

}  // namespace domicile::registry
