// Project Wycheproof's JOSE vectors (C2SP/wycheproof, testvectors_v1/json_web_*), read from
// DOMICILE_VECTORS or ../shared/vectors beside the checkout. Every vector that is "invalid" must be
// refused; every "valid" one must pass, but for algorithms that are not spoken here on purpose,
// which must be refused as well.
#include <cstdlib>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "token/jws.h"
#include "token/key_set.h"

namespace domicile::token {
namespace {

using nlohmann::json;

std::optional<json> vectors(const char* name) {
  std::filesystem::path folder;
  if (const char* named = std::getenv("DOMICILE_VECTORS"); named != nullptr) {
    folder = named;
  } else {
    folder = std::filesystem::path(__FILE__).parent_path() / "../../../shared/vectors";
  }
  const auto content = read_file(folder / "wycheproof" / name);
  if (!content) return std::nullopt;
  return json::parse(*content);
}

#define VECTORS_OR_SKIP(name)          \
  const auto document = vectors(name); \
  if (!document)                       \
  GTEST_SKIP() << name << " not found: set DOMICILE_VECTORS (source: C2SP/wycheproof)"

json public_keys(const json& group) {
  json keys = group.contains("public") ? group["public"] : group["private"];
  if (!keys.contains("keys")) keys = {{"keys", {keys}}};
  // The single keys of the signature file stand for themselves; here every key has a name.
  for (auto& key : keys["keys"]) {
    if (!key.contains("kid")) key["kid"] = "unnamed";
  }
  return keys;
}

bool accepted(const json& keys, const std::string& compact, bool by_kid) {
  const auto set = KeySet::parse(keys.dump());
  if (!set) return false;
  JsonReader reader;
  Jws jws;
  if (!parse_jws(compact, reader, jws)) return false;
  JwsVerifier verifier(*set);
  return (by_kid ? verifier.check(jws) : verifier.check(jws, 0)).has_value();
}

// RFC 7520's figure 20 is signed with PS384 under a key that the file labels PS256: where the key
// decides, that is a mismatch, and refused.
bool mismatched(const json& test) { return test["comment"] == "Figure20"; }

bool spoken(const json& keys) {
  static const std::set<std::string> ours = {"RS256", "RS384", "RS512", "PS256",
                                             "ES256", "ES384", "EdDSA"};
  for (const auto& key : keys["keys"]) {
    if (key.value("kty", "") == "oct" || !ours.contains(key.value("alg", ""))) return false;
  }
  return true;
}

struct Counts {
  int valid = 0, invalid = 0, not_spoken = 0;
};

Counts run(const json& document, bool by_kid) {
  Counts counts;
  for (const auto& group : document["testGroups"]) {
    const json keys = public_keys(group);
    for (const auto& test : group["tests"]) {
      const std::string name = group["comment"].get<std::string>() + " #" +
                               std::to_string(test["tcId"].get<int>()) + " " +
                               test["comment"].get<std::string>();
      const auto& text = test.contains("jws") ? test["jws"] : test["jwe"];
      const bool pass =
          accepted(keys, text.is_string() ? text.get<std::string>() : text.dump(), by_kid);
      if (test["result"] == "invalid") {
        EXPECT_FALSE(pass) << name;
        ++counts.invalid;
      } else if (spoken(keys) && !mismatched(test)) {
        EXPECT_TRUE(pass) << name;
        ++counts.valid;
      } else {
        EXPECT_FALSE(pass) << name;
        ++counts.not_spoken;
      }
    }
  }
  return counts;
}

TEST(Wycheproof, JsonWebSignature) {
  VECTORS_OR_SKIP("json_web_signature_test.json");
  const Counts counts = run(*document, false);
  EXPECT_EQ(counts.valid + counts.invalid + counts.not_spoken, 401);
  EXPECT_GE(counts.valid, 24);
}

TEST(Wycheproof, JsonWebKey) {
  VECTORS_OR_SKIP("json_web_key_test.json");
  const Counts counts = run(*document, true);
  EXPECT_EQ(counts.valid + counts.invalid + counts.not_spoken, 26);
}

TEST(Wycheproof, JsonWebCrypto) {
  VECTORS_OR_SKIP("json_web_crypto_test.json");
  const Counts counts = run(*document, true);
  EXPECT_EQ(counts.valid + counts.invalid + counts.not_spoken, 83);
}

}  // namespace
}  // namespace domicile::token
