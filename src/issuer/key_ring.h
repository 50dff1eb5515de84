// The signing keys of a region's issuer. Per algorithm there is a chain of keys that follow each
// other without a gap: the next one is published `publish_ahead_s` before it signs, so that
// everybody has fetched it by then; the last one stays published until no token that it signed can
// still be valid.
//
// Private keys lie in the directory sealed under the node's key file, so all nodes of a region sign
// with the same ones, and a dump of the database signs nothing. refresh() loads and renews; call it
// at start and then again and again: where nothing has changed it costs one small query. So a key
// that an operator ends is gone everywhere, and its successor known, within one round. Between calls
// everything is answered from an immutable value.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/sealed.h"
#include "store/directory.h"
#include "token/key_set.h"
#include "token/token_signer.h"

namespace domicile::issuer {

struct KeyRingOptions {
  crypto::Algorithm preferred =
      crypto::Algorithm::es256;              // signs; es256 or eddsa. Both are published
  std::int64_t lifetime_s = 30 * 24 * 3600;  // of a key, while it signs
  std::int64_t publish_ahead_s = 24 * 3600;
  std::int64_t linger_s =
      2 * 3600;  // published after it signed last: at least a token's life, skew, and an hour
};

class KeyRing {
 public:
  struct Keys {
    struct Signer {
      std::int64_t activates_at, retires_at;
      token::TokenSigner signer;
    };
    std::shared_ptr<const token::KeySet>
        published;                // oldest activation first: stable between calls
    std::vector<Signer> signers;  // of the preferred algorithm
    const token::TokenSigner* signer(std::int64_t now_s) const;  // null: none is active
  };
  using Changed = std::function<void(std::shared_ptr<const token::KeySet>)>;

  KeyRing(store::Directory& directory, crypto::SealingKey sealing_key, const Clock& clock,
          KeyRingOptions options = {});

  // `changed` runs in refresh() when the published keys are not those of before. Set before the
  // first refresh().
  void on_change(Changed changed) { changed_ = std::move(changed); }

  Result<void> refresh();
  std::shared_ptr<const Keys> keys() const;  // null until the first refresh() worked

 private:
  Result<std::vector<store::SealedKey>> plan(const std::vector<store::SealedKey>& have,
                                             std::int64_t now_s) const;
  Result<store::SealedKey> make(crypto::Algorithm algorithm, std::int64_t now_s,
                                std::int64_t activates_at) const;
  Result<std::shared_ptr<const Keys>> open(const std::vector<store::SealedKey>& sealed) const;

  store::Directory& directory_;
  crypto::SealingKey sealing_key_;
  const Clock& clock_;
  KeyRingOptions options_;
  Changed changed_;
  std::mutex refreshing_;
  std::vector<store::SealedKey> opened_;  // what keys_ was made from; under refreshing_
  mutable std::mutex mutex_;
  std::shared_ptr<const Keys> keys_;
};

}  // namespace domicile::issuer
