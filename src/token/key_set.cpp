#include "token/key_set.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include "base/encoding.h"
#include "crypto/sha256.h"
#include "token/json_reader.h"

namespace domicile::token {
namespace {

using crypto::Algorithm;

constexpr std::array<std::string_view, 8> kPrivate = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

std::unexpected<Error> bad(std::string message) {
  return fail(Code::invalid, "the key set: " + std::move(message), "jwks_invalid");
}

struct Kind {  // what a key's type and curve say
  std::string_view kty, crv;
  Algorithm usual;
};
constexpr std::array<Kind, 4> kKinds = {{{"RSA", "", Algorithm::rs256},
                                         {"EC", "P-256", Algorithm::es256},
                                         {"EC", "P-384", Algorithm::es384},
                                         {"OKP", "Ed25519", Algorithm::eddsa}}};

bool fits(const Kind& kind, Algorithm algorithm) {
  if (kind.kty != "RSA") return algorithm == kind.usual;
  return algorithm == Algorithm::rs256 || algorithm == Algorithm::rs384 ||
         algorithm == Algorithm::rs512 || algorithm == Algorithm::ps256;
}

// For signatures, as far as the key itself says (RFC 7517 sections 4.2 and 4.3).
bool for_verifying(const simdjson::dom::object& jwk) {
  std::string_view use;
  if (has(jwk, "use") && (!get_text(jwk, "use", use) || use != "sig")) return false;
  if (!has(jwk, "key_ops")) return true;
  simdjson::dom::array operations;
  if (jwk["key_ops"].get(operations) != simdjson::SUCCESS) return false;
  for (const auto operation : operations) {
    std::string_view name;
    if (operation.get(name) == simdjson::SUCCESS && name == "verify") return true;
  }
  return false;
}

Result<std::string> bytes_member(const simdjson::dom::object& jwk, std::string_view name) {
  std::string_view text;
  if (!has(jwk, name)) return std::string();
  std::string out;
  if (!get_text(jwk, name, text) || !append_base64url(text, out)) {
    return bad(fmt::format("{} of a key is not base64url", name));
  }
  return out;
}

Result<crypto::PublicParameters> parameters_of(const simdjson::dom::object& jwk) {
  crypto::PublicParameters out;
  out.n = TRY(bytes_member(jwk, "n"));
  out.e = TRY(bytes_member(jwk, "e"));
  out.x = TRY(bytes_member(jwk, "x"));
  out.y = TRY(bytes_member(jwk, "y"));
  return out;
}

// The key's algorithm; nullopt when it is not one for us.
Result<std::optional<Algorithm>> algorithm_of(const simdjson::dom::object& jwk) {
  std::string_view kty, crv, alg;
  if (!get_text(jwk, "kty", kty)) return bad("a key without kty");
  if (has(jwk, "crv") && !get_text(jwk, "crv", crv)) return bad("a key whose crv is not text");
  const auto* kind =
      std::ranges::find_if(kKinds, [&](const Kind& k) { return k.kty == kty && k.crv == crv; });
  if (has(jwk, "alg") && !get_text(jwk, "alg", alg)) return bad("a key whose alg is not text");
  const auto named = crypto::parse_algorithm(alg);
  if (kind == kKinds.end()) {
    if (named) return bad("a key whose alg does not fit its type or curve");
    return std::nullopt;
  }
  if (!has(jwk, "alg")) return kind->usual;
  if (!named) return std::nullopt;
  if (!fits(*kind, *named)) return bad("a key whose alg does not fit its type or curve");
  return named;
}

Result<std::optional<NamedKey>> read_key(const simdjson::dom::object& jwk) {
  std::string_view kty, kid;
  if (get_text(jwk, "kty", kty) && kty == "oct")
    return bad("a symmetric key does not belong in it");
  if (std::ranges::any_of(kPrivate, [&](auto name) { return has(jwk, name); })) {
    return bad(
        "a private key does not belong in it: publish the public half only, and replace this key");
  }
  if (!for_verifying(jwk)) return std::nullopt;
  const auto algorithm = TRY(algorithm_of(jwk));
  if (!algorithm) return std::nullopt;
  if (!get_text(jwk, "kid", kid) || kid.empty() || kid.size() > 256)
    return bad("a signing key without a kid");
  auto key = crypto::VerifyingKey::create(*algorithm, TRY(parameters_of(jwk)));
  if (!key) return bad(std::move(key).error().message);
  return NamedKey{std::string(kid), std::move(*key)};
}

nlohmann::ordered_json public_jwk(const crypto::VerifyingKey& key) {
  const auto p = key.parameters();
  switch (key.algorithm()) {  // members in the order of RFC 7638
    case Algorithm::eddsa: return {{"crv", "Ed25519"}, {"kty", "OKP"}, {"x", to_base64url(p.x)}};
    case Algorithm::es256:
    case Algorithm::es384:
      return {{"crv", key.algorithm() == Algorithm::es256 ? "P-256" : "P-384"},
              {"kty", "EC"},
              {"x", to_base64url(p.x)},
              {"y", to_base64url(p.y)}};
    default: return {{"e", to_base64url(p.e)}, {"kty", "RSA"}, {"n", to_base64url(p.n)}};
  }
}

nlohmann::ordered_json full_jwk(const NamedKey& named) {
  auto jwk = public_jwk(*named.key);
  jwk["use"] = "sig";
  jwk["alg"] = crypto::to_string(named.key->algorithm());
  jwk["kid"] = named.kid;
  return jwk;
}

}  // namespace

Result<std::shared_ptr<const KeySet>> KeySet::parse(std::string_view jwks) {
  if (jwks.size() > kMaxBytes) return bad(fmt::format("more than {} bytes", kMaxBytes));
  JsonReader reader;
  simdjson::dom::object root;
  simdjson::dom::array list;
  if (!reader.read(jwks, root)) return bad("not one object in strict JSON");
  if (root["keys"].get(list) != simdjson::SUCCESS) return bad("no array named keys");
  if (list.size() > kMaxKeys) return bad(fmt::format("more than {} keys", kMaxKeys));
  std::vector<NamedKey> keys;
  for (const auto item : list) {
    simdjson::dom::object jwk;
    if (item.get(jwk) != simdjson::SUCCESS) return bad("a key that is not an object");
    if (auto key = TRY(read_key(jwk))) keys.push_back(std::move(*key));
  }
  return create(std::move(keys));
}

Result<std::shared_ptr<const KeySet>> KeySet::create(std::vector<NamedKey> keys) {
  if (keys.empty()) return bad("no key for signatures that is understood here");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (keys[i].kid == keys[j].kid) return bad("two keys of one kid");
    }
  }
  return std::shared_ptr<const KeySet>(new KeySet(std::move(keys)));
}

const NamedKey* KeySet::find(std::string_view kid) const {
  for (const auto& key : keys_) {
    if (key.kid == kid) return &key;
  }
  return nullptr;
}

std::string KeySet::to_json() const {
  auto list = nlohmann::ordered_json::array();
  for (const auto& key : keys_) list.push_back(full_jwk(key));
  return nlohmann::ordered_json{{"keys", std::move(list)}}.dump();
}

std::string jwk_json(const NamedKey& key) { return full_jwk(key).dump(); }

std::string jwk_thumbprint(const crypto::VerifyingKey& key) {
  return to_base64url(crypto::view(crypto::sha256(public_jwk(key).dump())));
}

}  // namespace domicile::token
