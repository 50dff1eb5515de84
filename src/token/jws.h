// JSON Web Signatures in compact form (RFC 7515), without a word about what they sign: the shape is
// checked here, then the signature under a key of one issuer. TokenVerifier adds the claims.
//
// Everything that could let the sender choose how it is checked is refused: no alg beyond
// crypto::Algorithm, no `crit`, no key in or behind the header, no detached or unencoded payload.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "token/json_reader.h"
#include "token/key_set.h"

namespace domicile::token {

struct Jws {
  std::string_view signing_input;  // header "." payload, as sent
  std::string_view payload;        // base64url
  std::string signature;           // bytes
  crypto::Algorithm algorithm{};
  std::string kid;  // "" when absent
  std::string typ;  // lower case, without "application/"; "" when absent
};

// Fills `out` (its strings are reused). Reasons: malformed, algorithm, header.
Result<void> parse_jws(std::string_view compact, JsonReader& reader, Jws& out);

// A key set and, for each of its keys, what a check needs prepared. One thread.
class JwsVerifier {
 public:
  explicit JwsVerifier(std::shared_ptr<const KeySet> keys);

  // By `kid`. Reasons: key, algorithm, signature.
  Result<void> check(const Jws& jws);
  // By place in the key set, whatever `kid` says: where the key is known from elsewhere.
  Result<void> check(const Jws& jws, std::size_t key_index);

 private:
  std::shared_ptr<const KeySet> keys_;
  std::vector<crypto::Verifier> verifiers_;  // in the order of the keys
};

}  // namespace domicile::token
