// The organization context that a door hands to the application, and the application to its
// database: the text `dc1~<kid>~<org key>~<epoch>~<database id>~<exp>~<nonce>~<mac>`. The
// database's domicile.enter() verifies it, once per transaction, with the same key. `mac` is the
// lower-case hex of HMAC-SHA-256 over everything before the last `~`; exp is Unix seconds, at most
// 60 s ahead; nonce is 16 hex digits.
//
// It names no person and is worth nothing in another database (database id) or after a move
// (epoch). ContextSigner belongs to one thread (every loop has its own).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/hmac.h"
#include "domain/names.h"

namespace domicile::token {

struct ContextKey {
  std::string kid;  // [a-z0-9]{1,16}
  Secret key;       // 32 bytes
};

struct Context {
  std::string kid;
  domain::OrgKey organization;
  domain::Epoch epoch = 0;
  std::string database_id;  // lower-case hex
  std::int64_t expires_at = 0;
  std::string nonce;
};

class ContextSigner {
 public:
  static constexpr std::int64_t kLifetimeMaxS = 60;

  static Result<ContextSigner> create(const ContextKey& key, std::string database_id,
                                      std::int64_t lifetime_s = kLifetimeMaxS);

  std::string sign(const domain::OrgKey& organization, domain::Epoch epoch, std::int64_t now_s);
  // Appends one to `out` that may be up to kReuseS old: the requests of an organization share it,
  // because signing costs more than deciding. It says the same, and is bound to no request anyway.
  void give_to(std::string& out, std::string_view organization, domain::Epoch epoch,
               std::int64_t now_s);
  static constexpr std::int64_t kReuseS = 5;

 private:
  struct Recent {
    std::string organization;
    domain::Epoch epoch = 0;
    std::int64_t signed_at = 0;
    std::string text;  // empty: none
  };
  static constexpr std::size_t kRecent =
      1024;  // by the hash of the organization; the last one stays
  ContextSigner(std::string kid, std::string database_id, std::int64_t lifetime_s,
                crypto::HmacSha256 hmac);
  void sign_to(std::string& out, std::string_view organization, domain::Epoch epoch,
               std::int64_t now_s);
  void next_nonce(std::string& out);
  std::string prefix_;  // "dc1~<kid>~"
  std::string database_id_;
  std::int64_t lifetime_s_;
  crypto::HmacSha256 hmac_;
  std::string random_;  // drawn in blocks
  std::vector<Recent> recent_;
};

// The strict parser (shape only), and the check that enter() does, for tests, tools and middleware.
Result<Context> parse_context(std::string_view text);
Result<Context> verify_context(std::string_view text, const ContextKey& key,
                               std::string_view database_id, std::int64_t now_s);

}  // namespace domicile::token
