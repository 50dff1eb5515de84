#include "token/key_set.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "token/testing.h"

namespace domicile::token {
namespace {

using nlohmann::json;
using namespace testing;

json jwk(crypto::Algorithm algorithm, const char* kid = "k") {
  return json::parse(jwk_json({kid, shared_key(algorithm).public_key()}));
}

bool refused(const json& key) {
  const auto set =
      KeySet::parse(json{{"keys", {jwk(crypto::Algorithm::eddsa, "good"), key}}}.dump());
  if (!set) EXPECT_EQ(set.error().reason, "jwks_invalid");
  return !set;
}

// Left out of the set, without refusing the rest.
bool skipped(const json& key) {
  const auto set =
      KeySet::parse(json{{"keys", {jwk(crypto::Algorithm::eddsa, "good"), key}}}.dump());
  return set && (*set)->keys().size() == 1;
}

json with(json key, const char* name, json value) {
  key[name] = std::move(value);
  return key;
}
json without(json key, const char* name) {
  key.erase(name);
  return key;
}

TEST(KeySet, ReadsBackWhatItWritesInTheSameOrder) {
  const auto set = key_set();
  const auto again = KeySet::parse(set->to_json()).value();
  EXPECT_EQ(again->to_json(), set->to_json());
  ASSERT_EQ(again->keys().size(), 3u);
  EXPECT_EQ(again->keys()[1].kid, "ed");
  EXPECT_EQ(again->find("rs")->key->algorithm(), crypto::Algorithm::rs256);
  EXPECT_EQ(again->find("RS"), nullptr);
}

TEST(KeySet, ThumbprintIsThatOfRfc8037AppendixA3) {
  const auto key = crypto::VerifyingKey::create(
      crypto::Algorithm::eddsa,
      {.x = from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").value()});
  EXPECT_EQ(jwk_thumbprint(**key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST(KeySet, RefusesASetThatLeaksOrConfusesKeys) {
  const json es = jwk(crypto::Algorithm::es256), rs = jwk(crypto::Algorithm::rs256);
  for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
    EXPECT_TRUE(refused(with(es, member, "AA")));
  EXPECT_TRUE(refused({{"kty", "oct"}, {"k", "AAAA"}, {"kid", "h"}, {"alg", "HS256"}}));
  EXPECT_TRUE(refused(without(es, "kid")));
  EXPECT_TRUE(refused(with(es, "kid", "good")));  // twice
  EXPECT_TRUE(refused(with(es, "alg", "ES384")));
  EXPECT_TRUE(refused(with(es, "alg", "RS256")));
  EXPECT_TRUE(refused(with(rs, "alg", "EdDSA")));
  EXPECT_TRUE(refused(with(es, "crv", "P-384")));
  EXPECT_TRUE(refused(with(without(es, "alg"), "crv", "P-384")));
  EXPECT_TRUE(refused(with(es, "y", es["x"])));  // not on the curve
  EXPECT_TRUE(refused(without(es, "y")));
  EXPECT_TRUE(refused(with(es, "x", es["x"].get<std::string>() + "=")));
  EXPECT_TRUE(refused(with(rs, "e", "AQ")));
  EXPECT_TRUE(refused(without(rs, "n")));
  EXPECT_TRUE(refused(without(es, "kty")));
  EXPECT_TRUE(refused(json("text")));
}

TEST(KeySet, LeavesOutKeysForOtherUses) {
  const json es = jwk(crypto::Algorithm::es256), rs = jwk(crypto::Algorithm::rs256);
  EXPECT_TRUE(skipped(with(rs, "use", "enc")));
  EXPECT_TRUE(skipped(with(es, "key_ops", {"sign"})));
  EXPECT_TRUE(skipped(with(rs, "alg", "RSA-OAEP")));
  EXPECT_TRUE(skipped(with(rs, "alg", "PS512")));
  EXPECT_TRUE(skipped(
      {{"kty", "EC"}, {"crv", "P-521"}, {"alg", "ES512"}, {"kid", "x"}, {"x", "AA"}, {"y", "AA"}}));
  EXPECT_TRUE(skipped({{"kty", "OKP"}, {"crv", "X25519"}, {"kid", "x"}, {"x", "AA"}}));
  EXPECT_FALSE(refused(with(es, "key_ops", {"verify"})));
  EXPECT_FALSE(refused(without(without(es, "alg"), "use")));
  EXPECT_FALSE(refused(with(with(es, "x5u", "https://evil"), "x5c", {"AA"})));  // ignored
}

TEST(KeySet, TheAlgorithmFollowsFromTheKeyWhereItIsNotNamed) {
  for (auto algorithm :
       {crypto::Algorithm::es256, crypto::Algorithm::eddsa, crypto::Algorithm::rs256}) {
    const auto set = KeySet::parse(json{{"keys", {without(jwk(algorithm), "alg")}}}.dump()).value();
    EXPECT_EQ(set->keys()[0].key->algorithm(), algorithm);
  }
}

TEST(KeySet, RefusesDocumentsThatAreNotOne) {
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), std::string(R"({"keys":{}})"),
        std::string(R"({"keys":[]})"), std::string(R"({"keys":[],"keys":[]})"),
        std::string(70000, ' '), std::string(70000, '['), key_set()->to_json() + "x",
        "\xef\xbb\xbf" + key_set()->to_json()}) {
    EXPECT_FALSE(KeySet::parse(bad)) << bad.substr(0, 40);
  }
}

}  // namespace
}  // namespace domicile::token
