#include "token/jws.h"

#include <algorithm>
#include <array>

#include <simdjson.h>

#include "token/token_error.h"

namespace domicile::token {
namespace {

constexpr std::size_t kKidBytesMax = 256;

// Members that name or carry a key, ask for processing that does not exist here, or wrap another
// token.
constexpr std::array<std::string_view, 11> kRefused = {"jwk", "jku", "x5u", "x5c", "crit", "b64",
                                                       "zip", "enc", "epk", "cty", "p2c"};

std::unexpected<Error> refuse(std::string_view reason, std::string message) {
  return fail(Code::unauthenticated, std::move(message), std::string(reason));
}

std::string media_type(std::string_view typ) {
  std::string out(typ);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  if (out.starts_with("application/")) out.erase(0, 12);
  return out;
}

Result<void> read_header(const simdjson::dom::object& header, Jws& out) {
  for (std::string_view name : kRefused) {
    if (has(header, name)) {
      return refuse(reason::header,
                    "the token's header has " + std::string(name) + ", which is refused");
    }
  }
  std::string_view text;
  if (!get_text(header, "alg", text))
    return refuse(reason::algorithm, "the token's header has no alg");
  const auto algorithm = crypto::parse_algorithm(text);
  if (!algorithm)
    return refuse(reason::algorithm, "the token's alg is none of those accepted here");
  out.algorithm = *algorithm;
  out.kid.clear();
  out.typ.clear();
  if (has(header, "kid")) {
    if (!get_text(header, "kid", text) || text.empty() || text.size() > kKidBytesMax) {
      return refuse(reason::header, "the token's kid is not a text of 1 to 256 bytes");
    }
    out.kid = text;
  }
  if (has(header, "typ")) {
    if (!get_text(header, "typ", text))
      return refuse(reason::header, "the token's typ is not text");
    out.typ = media_type(text);
  }
  return {};
}

}  // namespace

Result<void> parse_jws(std::string_view compact, JsonReader& reader, Jws& out) {
  const auto first = compact.find('.');
  const auto second = first == std::string_view::npos ? first : compact.find('.', first + 1);
  if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
    return refuse(reason::malformed, "the token has not three parts");
  }
  out.signing_input = compact.substr(0, second);
  out.payload = compact.substr(first + 1, second - first - 1);
  out.signature.clear();
  if (!append_base64url(compact.substr(second + 1), out.signature) || out.signature.empty()) {
    return refuse(reason::malformed, "the token's signature is absent or not base64url");
  }
  simdjson::dom::object header;
  if (!reader.read_base64url(compact.substr(0, first), header)) {
    return refuse(reason::malformed,
                  "the token's header is not an object in strict JSON and base64url");
  }
  return read_header(header, out);
}

JwsVerifier::JwsVerifier(std::shared_ptr<const KeySet> keys) : keys_(std::move(keys)) {
  verifiers_.reserve(keys_->keys().size());
  for (const auto& named : keys_->keys()) verifiers_.emplace_back(named.key);
}

Result<void> JwsVerifier::check(const Jws& jws) {
  const NamedKey* named = keys_->find(jws.kid);
  if (named == nullptr) return refuse(reason::key, "the issuer has no key of the token's kid");
  return check(jws, static_cast<std::size_t>(named - keys_->keys().data()));
}

Result<void> JwsVerifier::check(const Jws& jws, std::size_t key_index) {
  crypto::Verifier& verifier = verifiers_.at(key_index);
  if (verifier.algorithm() != jws.algorithm) {
    return refuse(reason::algorithm, "the token's alg is not that of its key");
  }
  if (!verifier.verify(jws.signing_input, jws.signature)) {
    return refuse(reason::signature, "the token's signature does not hold");
  }
  return {};
}

}  // namespace domicile::token
