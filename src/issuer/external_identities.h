// The identity providers of this region, for token exchange: their rules, and their keys as
// RemoteKeys delivers them. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "issuer/remote_keys.h"
#include "token/external_token.h"

namespace domicile::issuer {

class ExternalIdentities {
 public:
  explicit ExternalIdentities(std::vector<token::ExternalIssuer> issuers);

  std::vector<KeySource> sources() const { return sources_; }
  void set_keys(std::string_view issuer, std::shared_ptr<const token::KeySet> keys);
  // Called when a token names a key that its issuer did not have. Set before the first verify();
  // must not block.
  void on_unknown_key(std::function<void(std::string_view)> ask) { ask_ = std::move(ask); }

  // As token::ExternalVerifier::verify().
  Result<token::ExternalIdentity> verify(std::string_view jwt, std::int64_t now_s);

 private:
  std::vector<KeySource> sources_;
  std::function<void(std::string_view)> ask_;
  std::mutex mutex_;
  token::ExternalVerifier verifier_;
};

}  // namespace domicile::issuer
