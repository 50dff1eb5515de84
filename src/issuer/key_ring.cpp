#include "issuer/key_ring.h"

#include <algorithm>

namespace domicile::issuer {
namespace {

constexpr crypto::Algorithm kAlgorithms[] = {crypto::Algorithm::eddsa, crypto::Algorithm::es256};

std::string sealing_context(std::string_view kid) { return "signing-key:" + std::string(kid); }

}  // namespace

const token::TokenSigner* KeyRing::Keys::signer(std::int64_t now_s) const {
  const token::TokenSigner* best = nullptr;
  for (const Signer& candidate : signers) {  // oldest first: the newest active one wins
    if (candidate.activates_at <= now_s && now_s < candidate.retires_at) best = &candidate.signer;
  }
  return best;
}

KeyRing::KeyRing(store::Directory& directory, crypto::SealingKey sealing_key, const Clock& clock,
                 KeyRingOptions options)
    : directory_(directory),
      sealing_key_(std::move(sealing_key)),
      clock_(clock),
      options_(options) {}

std::shared_ptr<const KeyRing::Keys> KeyRing::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Result<void> KeyRing::refresh() {
  const std::lock_guard one_at_a_time(refreshing_);
  const std::int64_t now_s = clock_.unix_seconds();
  std::vector<store::SealedKey> sealed = TRY(directory_.signing_keys());
  // Mostly there is nothing to do; only then the keys are looked at under the lock that nodes
  // share.
  if (!TRY(plan(sealed, now_s)).empty()) {
    sealed = TRY(directory_.renew_signing_keys(
        now_s, [&](const std::vector<store::SealedKey>& have) { return plan(have, now_s); }));
  }
  std::erase_if(sealed, [&](const store::SealedKey& key) { return key.expires_at <= now_s; });
  if (!opened_.empty() && sealed == opened_) return {};
  auto opened = TRY(open(sealed));
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    changed = keys_ == nullptr || keys_->published->to_json() != opened->published->to_json();
    keys_ = opened;
  }
  opened_ = std::move(sealed);
  if (changed && changed_) changed_(opened->published);
  return {};
}

Result<std::vector<store::SealedKey>> KeyRing::plan(const std::vector<store::SealedKey>& have,
                                                    std::int64_t now_s) const {
  std::vector<store::SealedKey> fresh;
  for (const crypto::Algorithm algorithm : kAlgorithms) {
    std::int64_t covered_until = 0;
    for (const auto& key : have) {
      if (key.algorithm == crypto::to_string(algorithm))
        covered_until = std::max(covered_until, key.retires_at);
    }
    if (covered_until - options_.publish_ahead_s > now_s) continue;
    fresh.push_back(TRY(make(algorithm, now_s, std::max(covered_until, now_s))));
  }
  return fresh;
}

Result<store::SealedKey> KeyRing::make(crypto::Algorithm algorithm, std::int64_t now_s,
                                       std::int64_t activates_at) const {
  const auto key = TRY(crypto::SigningKey::generate(algorithm));
  store::SealedKey sealed;
  sealed.kid = token::jwk_thumbprint(*key.public_key());
  sealed.algorithm = crypto::to_string(algorithm);
  sealed.sealed = sealing_key_.seal(key.to_der(), sealing_context(sealed.kid));
  sealed.created_at = now_s;
  sealed.activates_at = activates_at;
  sealed.retires_at = activates_at + options_.lifetime_s;
  sealed.expires_at = sealed.retires_at + options_.linger_s;
  return sealed;
}

Result<std::shared_ptr<const KeyRing::Keys>> KeyRing::open(
    const std::vector<store::SealedKey>& sealed) const {
  auto keys = std::make_shared<Keys>();
  std::vector<token::NamedKey> published;
  for (const auto& entry : sealed) {
    const auto algorithm = crypto::parse_algorithm(entry.algorithm);
    if (!algorithm) return fail(Code::internal, "a signing key of an unknown algorithm");
    auto der = sealing_key_.open(entry.sealed, sealing_context(entry.kid));
    if (!der) {
      return fail(Code::denied,
                  "the issuer's key file does not open the signing keys of this region: it is not "
                  "the file they were "
                  "made with; bring that one back");
    }
    auto key = TRY(crypto::SigningKey::from_der(*algorithm, *der));
    published.push_back({entry.kid, key.public_key()});
    if (*algorithm == options_.preferred) {
      keys->signers.push_back(
          {entry.activates_at, entry.retires_at, token::TokenSigner(entry.kid, std::move(key))});
    }
  }
  keys->published = TRY(token::KeySet::create(std::move(published)));
  return keys;
}

}  // namespace domicile::issuer
