#include "token/context_token.h"

#include <set>

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace domicile::token {
namespace {

constexpr std::int64_t kNow = 1'767'225'600;
const ContextKey kKey{"k1", Secret(std::string(32, '\x0b'))};
constexpr const char* kDatabase = "a1b2c3";

ContextSigner signer() { return ContextSigner::create(kKey, kDatabase).value(); }

std::string reason(std::string_view text, std::int64_t now = kNow,
                   std::string_view database = kDatabase) {
  const auto context = verify_context(text, kKey, database, now);
  return context ? "accepted" : context.error().reason;
}

TEST(ContextToken, HasTheAgreedFormAndVerifies) {
  auto s = signer();
  const std::string text = s.sign(domain::OrgKey("7"), 3, kNow);
  EXPECT_TRUE(text.starts_with("dc1~k1~7~3~a1b2c3~1767225660~")) << text;
  const auto context = verify_context(text, kKey, kDatabase, kNow);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->organization.text(), "7");
  EXPECT_EQ(context->epoch, 3u);
  EXPECT_EQ(context->expires_at, kNow + 60);
  std::string appended = "Domicile-Context: ";
  s.give_to(appended, "acme.ca:1", 3, kNow);
  EXPECT_EQ(reason(appended.substr(18)), "accepted");
}

TEST(ContextSigner, GivesTheRequestsOfAnOrganizationTheSameForFiveSeconds) {
  auto s = signer();
  const auto given = [&](std::string_view organization, domain::Epoch epoch, std::int64_t now) {
    std::string out;
    s.give_to(out, organization, epoch, now);
    EXPECT_EQ(reason(out, now), "accepted");
    const auto context = parse_context(out);
    EXPECT_EQ(context->organization.view(), organization);
    EXPECT_EQ(context->epoch, epoch);
    return out;
  };
  const std::string first = given("7", 3, kNow);
  EXPECT_EQ(given("7", 3, kNow + 4), first);
  EXPECT_NE(given("7", 3, kNow + 5), first);
  EXPECT_NE(given("7", 3, kNow), first);  // the clock went back
  EXPECT_NE(given("7", 4, kNow), first);  // moved
  std::set<std::string> seen;
  for (int i = 0; i < 5000; ++i) seen.insert(given(std::to_string(i), 3, kNow));
  EXPECT_EQ(seen.size(), 5000u);
}

TEST(ContextToken, NoTwoAreAlike) {
  auto s = signer();
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) seen.insert(s.sign(domain::OrgKey("7"), 1, kNow));
  EXPECT_EQ(seen.size(), 2000u);
}

TEST(ContextToken, IsRefusedElsewhereLaterAndUnderAnotherKey) {
  auto s = signer();
  const std::string text = s.sign(domain::OrgKey("7"), 3, kNow);
  EXPECT_EQ(reason(text, kNow + 59), "accepted");
  EXPECT_EQ(reason(text, kNow + 60), "context_expired");
  EXPECT_EQ(reason(text, kNow - 1), "context_expiry");
  EXPECT_EQ(reason(text, kNow, "a1b2c4"), "context_database");
  const ContextKey other{"k1", Secret(std::string(32, '\x0c'))};
  EXPECT_EQ(verify_context(text, other, kDatabase, kNow).error().reason, "context_mac");
  const ContextKey renamed{"k2", kKey.key};
  EXPECT_EQ(verify_context(text, renamed, kDatabase, kNow).error().reason, "context_key");
}

TEST(ContextToken, EveryChangedByteIsRefused) {
  auto s = signer();
  const std::string text = s.sign(domain::OrgKey("7"), 3, kNow);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = changed[at] == '1' ? '2' : '1';
    EXPECT_NE(reason(changed), "accepted") << at;
    EXPECT_NE(reason(text.substr(0, at)), "accepted") << at;
  }
  EXPECT_EQ(reason(text + '\n'), "context_malformed");
  EXPECT_EQ(reason(' ' + text), "context_malformed");
  EXPECT_EQ(reason(text + "~"), "context_malformed");
  EXPECT_EQ(reason(""), "context_malformed");
  EXPECT_EQ(reason(std::string(100000, '~')), "context_malformed");
}

TEST(ContextSigner, RefusesKeysAndNamesThatTheDatabaseWouldNotTake) {
  EXPECT_FALSE(ContextSigner::create({"K1", kKey.key}, kDatabase));
  EXPECT_FALSE(ContextSigner::create({"", kKey.key}, kDatabase));
  EXPECT_FALSE(ContextSigner::create({"k1", Secret("short")}, kDatabase));
  EXPECT_FALSE(ContextSigner::create(kKey, "XYZ"));
  EXPECT_FALSE(ContextSigner::create(kKey, kDatabase, 61));
  EXPECT_FALSE(ContextSigner::create(kKey, kDatabase, 0));
}

}  // namespace
}  // namespace domicile::token
