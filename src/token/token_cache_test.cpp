#include "token/token_cache.h"

#include <string>

#include <gtest/gtest.h>

namespace domicile::token {
namespace {

std::shared_ptr<const domain::Principal> principal(std::string id, std::int64_t exp,
                                                   std::string issuer = "i") {
  auto p = std::make_shared<domain::Principal>();
  p->token_id = std::move(id);
  p->expires_at = exp;
  p->issuer = std::move(issuer);
  return p;
}

TEST(TokenCache, FindsTheVeryTokenAndNoOther) {
  TokenCache cache;
  cache.put("aaa.bbb.ccc", principal("1", 1000), 0);
  ASSERT_NE(cache.find("aaa.bbb.ccc", 0), nullptr);
  EXPECT_EQ((*cache.find("aaa.bbb.ccc", 0))->token_id, "1");
  EXPECT_EQ(cache.find("aaa.bbb.ccd", 0), nullptr);
  EXPECT_EQ(cache.find("", 0), nullptr);
  EXPECT_EQ(cache.stats().hits, 2u);
  EXPECT_EQ(cache.stats().misses, 2u);
}

TEST(TokenCache, HonoursExpiryWithTheVerifiersSkew) {
  TokenCache cache({.skew_s = 30});
  cache.put("t", principal("1", 1000), 0);
  EXPECT_NE(cache.find("t", 1029), nullptr);
  EXPECT_EQ(cache.find("t", 1030), nullptr);
  EXPECT_EQ(cache.size(), 0u);  // dropped when seen
  cache.put("t", principal("1", 1000), 1030);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(TokenCache, GivesUpOneEntryAtATimeTheLeastRecentlyUsed) {
  TokenCache cache({.capacity = 8});  // a single bucket
  for (int i = 0; i < 8; ++i) cache.put("t" + std::to_string(i), principal("x", 1000), 0);
  ASSERT_NE(cache.find("t0", 0), nullptr);  // t1 is now the oldest
  cache.put("t8", principal("x", 1000), 0);
  EXPECT_EQ(cache.size(), 8u);
  EXPECT_EQ(cache.stats().evictions, 1u);
  EXPECT_EQ(cache.find("t1", 0), nullptr);
  for (int i : {0, 2, 3, 4, 5, 6, 7, 8})
    EXPECT_NE(cache.find("t" + std::to_string(i), 0), nullptr) << i;
}

TEST(TokenCache, PrefersDeadEntriesOverLivingOnes) {
  TokenCache cache({.capacity = 8, .skew_s = 0});
  for (int i = 0; i < 7; ++i) cache.put("t" + std::to_string(i), principal("x", 1000), 0);
  cache.put("short", principal("x", 10), 0);  // the most recently used, but dead at 10
  cache.put("new", principal("x", 1000), 10);
  EXPECT_EQ(cache.stats().evictions, 0u);
  for (int i = 0; i < 7; ++i) EXPECT_NE(cache.find("t" + std::to_string(i), 10), nullptr) << i;
}

TEST(TokenCache, StaysBoundedAndMostlyWarmUnderMoreTokensThanItHolds) {
  TokenCache cache({.capacity = 1024});
  for (int i = 0; i < 100000; ++i) cache.put("token-" + std::to_string(i), principal("x", 1000), 0);
  EXPECT_LE(cache.size(), 1024u);
  TokenCache fitting({.capacity = 16384});
  for (int i = 0; i < 10000; ++i)
    fitting.put("token-" + std::to_string(i), principal("x", 1000), 0);
  int found = 0;
  for (int i = 0; i < 10000; ++i) found += fitting.find("token-" + std::to_string(i), 0) != nullptr;
  EXPECT_GT(found, 9000);
}

TEST(TokenCache, ForgetsAnIssuerWhole) {
  TokenCache cache;
  cache.put("a", principal("1", 1000, "ca"), 0);
  cache.put("b", principal("2", 1000, "us"), 0);
  const auto held = *cache.find("a", 0);
  cache.forget_issuer("ca");
  EXPECT_EQ(cache.find("a", 0), nullptr);
  EXPECT_NE(cache.find("b", 0), nullptr);
  EXPECT_EQ(held->token_id, "1");  // whoever copied the pointer keeps the principal
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
}

TEST(TokenCache, DoesNotKeepTokensBeyondItsBound) {
  TokenCache cache({.token_bytes_max = 16});
  cache.put(std::string(17, 'x'), principal("1", 1000), 0);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(TokenCache, ReplacesATokenThatWasVerifiedTwice) {
  TokenCache cache;
  cache.put("a", principal("1", 1000), 0);
  cache.put("a", principal("2", 1000), 0);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ((*cache.find("a", 0))->token_id, "2");
}

}  // namespace
}  // namespace domicile::token
