#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "issuer/discovery.h"
#include "issuer/issuer_fixture.h"

namespace domicile::issuer {
namespace {

class Discovery : public IssuerTest {
 protected:
  http::Response ask(const std::string& json) { return post("/v1/discovery", json); }
};
class Keys : public IssuerTest {
 protected:
  nlohmann::json jwks() { return body(get("/.well-known/jwks.json"))["keys"]; }
  std::string kid_of(const http::Response& response) {
    const std::string token = body(response)["access_token"];
    return nlohmann::json::parse(from_base64url(token.substr(0, token.find('.'))).value())["kid"];
  }
};

TEST_F(Discovery, NamesTheHomeOfAnOrganization) {
  EXPECT_EQ(body(ask(R"({"organization":"acme"})")),
            (nlohmann::json{{"region", "ca-central-1"}, {"issuer", "https://ca.test"}}));
  EXPECT_EQ(body(ask(R"({"organization":"beta"})"))["issuer"], "https://us.test");
}

TEST_F(Discovery, AnswersTheUnknownInTheSameShapeAndAlwaysAlike) {
  std::set<std::string> issuers;
  for (int i = 0; i < 20; ++i) {
    const std::string question = R"({"organization":"nobody)" + std::to_string(i) + "\"}";
    const auto first = ask(question), second = ask(question);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.body, second.body);
    EXPECT_EQ(body(first).size(), 2u);
    issuers.insert(body(first)["issuer"]);
  }
  EXPECT_EQ(issuers.size(), 2u);
}

// Not measured by a clock: what costs time is counted. The stable region of a name that nobody has is
// computed for names that somebody has as well.
TEST_F(Discovery, DoesTheSameWorkForTheKnownAndTheUnknown) {
  int hashed = 0;
  const Locator locator(Secret(std::string(32, 'l')), [&](std::string_view domain) {
    ++hashed;
    domain::DomainHash hash{};
    hash[0] = static_cast<std::uint8_t>(domain == "acme.example" ? 1 : 2);
    return std::optional(hash);
  });
  domain::RegistrySnapshot::Builder builder;
  builder.registry_id(std::string(32, '0'));
  builder.regions({{.id = domain::RegionId("ca-central-1"),
                    .jurisdiction = domain::JurisdictionId("CA"),
                    .locations = {},
                    .url = "https://ca.test",
                    .master = true}});
  const auto snapshot = builder.build(1).value();
  for (const char* name : {"acme.example", "nobody.example"}) {
    hashed = 0;
    const auto before = locator.computed();
    ASSERT_TRUE(locator.by_domain(*snapshot, name));
    EXPECT_EQ(hashed, 1) << name;
    EXPECT_EQ(locator.computed() - before, 1u) << name;
  }
  for (const char* body : {R"({"organization":"acme"})", R"({"organization":"nobody"})"}) {
    const auto before = issuer->locator().computed();
    const int looked = directory.user_lookups;
    EXPECT_EQ(ask(body).status, 200);
    EXPECT_EQ(issuer->locator().computed() - before, 1u);
    EXPECT_EQ(directory.user_lookups, looked);  // and nobody is looked up for it
    EXPECT_TRUE(sink.events.empty());
  }
}

TEST_F(Discovery, NeverTakesAnAddressOrAnythingElse) {
  EXPECT_NE(ask(R"({"domain":"ann@acme.test"})").body.find("discovery_address"), std::string::npos);
  EXPECT_NE(ask(R"({"organization":"ann@acme.test"})").body.find("discovery_address"),
            std::string::npos);
  for (const char* bad :
       {"", "{}", "[]", "\"acme\"", R"({"email":"x"})", R"({"organization":7})",
        R"({"organization":"acme","domain":"x.y"})", R"({"organization":"a","organization":"b"})",
        R"({"organization":"a b"})", R"({"domain":"localhost"})", R"({"domain":"-a.test"})",
        R"({"organization":"acme"} x)", R"({"organization":{"a":1}})"}) {
    EXPECT_EQ(ask(bad).status, 400) << bad;
  }
  EXPECT_EQ(get("/v1/discovery").status, 405);
}

TEST_F(Discovery, IsLimitedPerAddress) {
  int answered = 0;
  while (ask(R"({"organization":"acme"})").status == 200) ASSERT_LT(++answered, 400);
  const auto limited = ask(R"({"organization":"acme"})");
  EXPECT_EQ(limited.status, 429);
  EXPECT_NE(header(limited, "retry-after"), "");
}

TEST(CanonicalDomain, IsLowerCaseDnsOrNothing) {
  EXPECT_EQ(canonical_domain("Example.ORG."), "example.org");
  EXPECT_EQ(canonical_domain("xn--bcher-kva.example"), "xn--bcher-kva.example");
  for (const std::string& bad :
       {std::string(""), std::string("."), std::string("org"), std::string("a..b"),
        std::string("a.b-"), std::string("a-.b"), std::string("a_b.c"), std::string("é.fr"),
        std::string(64, 'a') + ".b", std::string("a b.c"), std::string("a.b/c")}) {
    EXPECT_EQ(canonical_domain(bad), "") << bad;
  }
}

TEST_F(Keys, BothAlgorithmsArePublishedAndOnlyPublicHalves) {
  const auto keys = jwks();
  ASSERT_EQ(keys.size(), 2u);
  std::set<std::string> algorithms;
  for (const auto& key : keys) {
    algorithms.insert(key["alg"]);
    EXPECT_FALSE(key.contains("d"));
    EXPECT_EQ(key["use"], "sig");
  }
  EXPECT_EQ(algorithms, (std::set<std::string>{"ES256", "EdDSA"}));
  for (const auto& key : directory.keys) EXPECT_EQ(key.sealed.find("PRIVATE"), std::string::npos);
}

TEST_F(Keys, FollowEachOtherWithOverlap) {
  const std::string token = body(sign_in())["access_token"];
  const auto first = kid_of(sign_in());
  const auto in_days = [&](int days) {
    clock.advance(std::chrono::hours(24 * days));
    EXPECT_TRUE(issuer->keys().refresh());
  };
  in_days(28);
  EXPECT_EQ(jwks().size(), 2u);
  in_days(1);  // a day before the change, the next keys are known
  ASSERT_EQ(jwks().size(), 4u);
  EXPECT_EQ(jwks()[0]["kid"], directory.keys[0].activates_at <= directory.keys[1].activates_at
                                  ? jwks()[0]["kid"]
                                  : "");
  EXPECT_EQ(kid_of(sign_in()), first);
  const auto before = jwks();
  in_days(1);
  const auto second = kid_of(sign_in());
  EXPECT_NE(second, first);
  EXPECT_EQ(jwks(), before);  // the same keys in the same order: the old ones linger
  clock.advance(std::chrono::hours(3));
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_EQ(jwks().size(), 2u);
  EXPECT_EQ(kid_of(sign_in()), second);
}

TEST_F(Keys, ATokenSignedInTheLastMomentIsStillBelieved) {
  clock.advance(std::chrono::hours(24 * 29) + std::chrono::hours(23) + std::chrono::minutes(59));
  EXPECT_TRUE(issuer->keys().refresh());
  const std::string token = body(sign_in())["access_token"];
  clock.advance(std::chrono::minutes(14));
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_TRUE(verify(token));
}

// A year at two nodes and at a door elsewhere that fetched the keys five minutes ago: whatever was
// signed in the last quarter of an hour is believed by all of them, at every moment around each change.
TEST_F(Keys, ThroughAYearNoValidTokenIsEverRefused) {
  KeyRing other(directory, crypto::SealingKey::create(Secret(std::string(32, 'k'))).value(), clock);
  const auto principal_of = [&](const std::shared_ptr<const token::KeySet>& keys,
                                const std::string& token) {
    return token::TokenVerifier({}, {{"https://ca.test", domain::RegionId("ca-central-1"), keys}})
        .verify(token, clock.unix_seconds());
  };
  const auto step = [&](std::int64_t now) {
    std::int64_t away = 86400;
    for (const auto& key : directory.keys) {
      for (const std::int64_t change : {key.activates_at, key.retires_at, key.expires_at})
        away = std::min(away, std::abs(now - change));
    }
    return std::chrono::seconds(away < 5400 ? 300 : away < 8 * 3600 ? 3600 : 6 * 3600);
  };
  struct Signed {
    std::int64_t at;
    std::string token;
  };
  std::vector<Signed> live;
  std::shared_ptr<const token::KeySet> fetched = issuer->keys().keys()->published;
  std::set<std::string> kids;
  int checked = 0;
  const std::int64_t end = clock.unix_seconds() + 366 * 86400;
  for (int round = 0; clock.unix_seconds() < end; ++round) {
    const std::int64_t now = clock.unix_seconds();
    // Either node may be the one that makes the next key; the other may be a round behind.
    KeyRing& first = round % 2 == 0 ? issuer->keys() : other;
    ASSERT_TRUE(first.refresh());
    if (round % 3 != 0 || other.keys() == nullptr) ASSERT_TRUE(other.refresh());
    for (KeyRing* node : {&issuer->keys(), &other}) {
      const auto* signer = node->keys()->signer(now);
      ASSERT_NE(signer, nullptr) << now;
      kids.insert(signer->kid());
      token::AccessClaims claims{
          .issuer = "https://ca.test", .client_id = "web", .subject = domain::UserId("u_1")};
      claims.organization = domain::OrgKey("7");
      claims.region = domain::RegionId("ca-central-1");
      claims.epoch = 1;
      claims.token_id = "t";
      claims.issued_at = now;
      claims.expires_at = now + 900;
      live.push_back({now, signer->sign(claims).value()});
    }
    std::erase_if(live, [&](const Signed& each) { return now >= each.at + 900; });
    for (const Signed& each : live) {
      for (const auto& keys : {issuer->keys().keys()->published, other.keys()->published, fetched})
        ASSERT_TRUE(principal_of(keys, each.token)) << now - each.at;
      ++checked;
    }
    fetched = first.keys()->published;
    clock.advance(step(now));
  }
  EXPECT_GE(kids.size(), 12u);
  EXPECT_GE(checked, 4'000);
}

TEST_F(Keys, EndBeforeTheirTimeWithAndWithoutTheirTokens) {
  const auto end_at = [&](std::int64_t at, std::int64_t until) {  // as `domicile key rotate` does
    std::erase_if(directory.keys, [&](const auto& key) { return key.activates_at >= at; });
    for (auto& key : directory.keys) {
      key.retires_at = std::min(key.retires_at, at);
      key.expires_at = std::min(key.expires_at, until);
    }
    EXPECT_TRUE(issuer->keys().refresh());
  };
  const std::string first = body(sign_in())["access_token"];
  const std::int64_t now = clock.unix_seconds();
  end_at(now + 600, now + 600 + 7200);
  EXPECT_EQ(jwks().size(), 4u);  // the next ones are known before they sign
  clock.advance(std::chrono::seconds(599));
  const std::string last = body(sign_in())["access_token"];
  clock.advance(std::chrono::seconds(1));
  const std::string next = body(sign_in())["access_token"];
  EXPECT_NE(kid_of(sign_in()), "");
  for (const auto& token : {first, last, next}) EXPECT_TRUE(verify(token));
  end_at(now + 605, now + 606);  // this one got into wrong hands
  EXPECT_TRUE(verify(next));
  clock.advance(std::chrono::seconds(6));
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_FALSE(verify(next));
  EXPECT_TRUE(verify(body(sign_in())["access_token"]));
}

TEST_F(Keys, SurviveARestartAndAreSharedByNodes) {
  const auto before = jwks();
  restart();
  EXPECT_EQ(jwks(), before);
}

TEST_F(Keys, AreAnnouncedOnceWhenTheyChange) {
  int announced = 0;
  issuer->on_keys([&](std::shared_ptr<const token::KeySet> keys) { announced += keys != nullptr; });
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_EQ(announced, 0);
  clock.advance(std::chrono::hours(24 * 29));
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_TRUE(issuer->keys().refresh());
  EXPECT_EQ(announced, 1);
}

TEST_F(Keys, AnotherKeyFileIsAnErrorThatSaysSo) {
  KeyRing other(directory, crypto::SealingKey::create(Secret(std::string(32, 'x'))).value(), clock);
  const auto refused = other.refresh();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("key file"), std::string::npos);
}

TEST_F(Keys, ADirectoryThatIsDownLeavesTheKnownOnesInUse) {
  directory.broken = true;
  EXPECT_FALSE(issuer->keys().refresh());
  EXPECT_EQ(jwks().size(), 2u);
}

TEST_F(Keys, MetadataAgreesWithTheAddresses) {
  const auto metadata = body(get("/.well-known/openid-configuration"));
  EXPECT_EQ(metadata["issuer"], "https://ca.test");
  EXPECT_EQ(metadata["jwks_uri"], "https://ca.test/.well-known/jwks.json");
  EXPECT_EQ(metadata["token_endpoint"], "https://ca.test/oauth2/token");
  EXPECT_EQ(get("/oauth2/nothing").status, 404);
}

TEST(PasswordHasher, VerifiesItsOwnAndNobodyElses) {
  PasswordHasher hasher({.memory_kib = 64, .iterations = 1});
  const auto hash = hasher.hash(Secret("correct horse")).value();
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
  EXPECT_TRUE(hasher.verify(Secret("correct horse"), hash).value());
  EXPECT_FALSE(hasher.verify(Secret("Correct horse"), hash).value());
  EXPECT_FALSE(hasher.verify(Secret(""), "").value());
  EXPECT_EQ(hasher.verify(Secret("x"), "$argon2id$broken").error().code, Code::internal);
  EXPECT_NE(hasher.hash(Secret("correct horse")).value(), hash);
}

TEST(PasswordHasher, RunsNoMoreAtOnceThanItMay) {
  PasswordHasher hasher({.memory_kib = 8192, .iterations = 20, .concurrent = 1, .waiting = 0});
  std::atomic<int> busy{0}, done{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto result = hasher.verify(Secret("x"), "");
      ++(result ? done : busy);
      if (!result) EXPECT_EQ(result.error().reason, "busy");
    });
  }
  threads.clear();
  EXPECT_EQ(busy + done, 4);
  EXPECT_GE(done.load(), 1);
}

TEST(PasswordHasher, NewPasswordsAreLongEnoughAndPrintable) {
  EXPECT_TRUE(PasswordHasher::check_new(Secret("ten bytes!")));
  EXPECT_FALSE(PasswordHasher::check_new(Secret("nine byte")));
  EXPECT_FALSE(PasswordHasher::check_new(Secret(std::string(257, 'x'))));
  EXPECT_FALSE(PasswordHasher::check_new(Secret("ten bytes!\n")));
}

TEST(Throttle, LocksOutForLongerEachTimeAndForgivesSuccess) {
  FakeClock clock;
  Throttle throttle({.burst = 2}, clock);
  EXPECT_FALSE(throttle.take("a"));
  EXPECT_FALSE(throttle.take("a"));
  EXPECT_EQ(throttle.take("a"), std::chrono::seconds(60));
  clock.advance(std::chrono::seconds(59));
  EXPECT_EQ(throttle.take("a"), std::chrono::seconds(1));
  EXPECT_FALSE(throttle.take("b"));
  clock.advance(std::chrono::seconds(2));
  EXPECT_FALSE(throttle.take("a"));  // one try came back meanwhile
  EXPECT_EQ(throttle.take("a"), std::chrono::seconds(120));
  throttle.forgive("a");
  EXPECT_FALSE(throttle.take("a"));
  EXPECT_FALSE(throttle.take("a"));
  EXPECT_EQ(throttle.take("a"), std::chrono::seconds(60));
}

TEST(Throttle, StaysBoundedUnderAFlood) {
  FakeClock clock;
  Throttle throttle({.burst = 1, .capacity = 64}, clock);
  EXPECT_FALSE(throttle.take("victim"));
  EXPECT_TRUE(throttle.take("victim"));
  for (int i = 0; i < 1000; ++i) throttle.take("flood" + std::to_string(i));
  EXPECT_TRUE(throttle.take("victim"));  // a lock outlives passers-by
}

TEST(Throttle, CountsAnIPv6NetworkAsOneAddress) {
  EXPECT_EQ(throttle_address("2001:db8::1"), throttle_address("2001:db8::ffff"));
  EXPECT_NE(throttle_address("2001:db8::1"), throttle_address("2001:db8:0:1::1"));
  EXPECT_NE(throttle_address("192.0.2.1"), throttle_address("192.0.2.2"));
}

}  // namespace
}  // namespace domicile::issuer
