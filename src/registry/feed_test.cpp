#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/feed_codec.h"
#include "registry/feed_handler.h"
#include "registry/registry_file.h"
#include "store/registry_domain_hash.h"

namespace domicile::registry {
namespace {

using ::testing::HasSubstr;

RegistryDelta delta() {
  RegistryDelta out;
  out.head = {.registry_id = std::string(32, 'a'), .revision = 7};
  out.head.chain[3] = 9;
  out.more = true;
  domain::Region ca;
  ca.id = domain::RegionId("ca-central-1");
  ca.jurisdiction = domain::JurisdictionId("CA");
  ca.locations = {domain::LocationId("ca-central-1"), domain::LocationId("ca-west-1")};
  ca.url = "https://ca.test";
  ca.master = true;
  out.regions = {ca};
  RegistryEntry entry;
  entry.organization.key = domain::OrgKey("7");
  entry.organization.slug = domain::Slug("seven");
  entry.organization.placement = {
      .region = ca.id, .epoch = 3, .state = domain::PlacementState::suspended};
  entry.organization.revision = 7;
  entry.domains.emplace_back()[0] = 0xab;
  out.organizations = {entry};
  return out;
}

TEST(Feed, RoundTrips) {
  const auto back = decode_delta(encode_delta(delta())).value();
  EXPECT_EQ(back.head.registry_id, delta().head.registry_id);
  EXPECT_EQ(back.head.chain, delta().head.chain);
  EXPECT_EQ(back.regions, delta().regions);
  EXPECT_EQ(back.organizations[0].organization, delta().organizations[0].organization);
  EXPECT_EQ(back.organizations[0].domains, delta().organizations[0].domains);
  EXPECT_TRUE(back.more);
}

TEST(Feed, RefusesWhatIsNotExactlyAFeed) {
  const std::string good = encode_delta(delta());
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"revision\":7", "\"revision\":-7"},
           {"\"revision\":7", "\"revision\":\"7\""},
           {"\"more\":true", "\"more\":1"},
           {"\"key\":\"7\"", "\"key\":\"7'\""},
           {"\"state\":\"suspended\"", "\"state\":\"gone\""},
           {"\"slug\":\"seven\"", "\"slug\":null"},
           {"\"registry\"", "\"registrar\""}}) {
    std::string bad = good;
    const auto at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    EXPECT_FALSE(decode_delta(bad)) << to;
  }
  EXPECT_FALSE(decode_delta(""));
  EXPECT_FALSE(decode_delta("[]"));
  EXPECT_FALSE(decode_delta(good.substr(0, good.size() - 1)));
}

http::Request request(std::string authorization) {
  http::Request r;
  r.method = "GET";
  r.path = "/v1/registry/changes";
  if (!authorization.empty()) r.headers.emplace_back("authorization", std::move(authorization));
  return r;
}

TEST(Feed, OnlyPeersMayAsk) {
  const Secret token(std::string("peer-token"));
  EXPECT_TRUE(is_peer(request("Bearer peer-token"), token));
  for (const char* bad : {"", "Bearer ", "Bearer peer-toke", "Bearer peer-token ", "peer-token",
                          "Basic peer-token"}) {
    EXPECT_FALSE(is_peer(request(bad), token)) << bad;
  }
  EXPECT_FALSE(is_peer(request("Bearer "), Secret())) << "an empty token admits nobody";
}

TEST(RegistryFile, ReadsJurisdictionsAndRegions) {
  const auto file = parse_registry_file(R"(
[[jurisdiction]]
id = "CA"
locations = ["ca-central-1", "ca-west-1"]
[[region]]
id = "ca-central-1"
jurisdiction = "CA"
locations = ["ca-west-1"]
url = "https://ca.example.com"
master = true
)",
                                        "r.toml");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->regions[0].locations.front().view(), "ca-central-1");
  EXPECT_EQ(file->regions[0].locations.size(), 2u);
}

TEST(RegistryFile, ErrorsNameTheLine) {
  const auto message = parse_registry_file(R"([[jurisdiction]]
id = "CA"
locations = ["ca-central-1"]
[[region]]
id = "us-east-1"
jurisdiction = "CA"
url = "http://ca.example.com/x"
mastre = true
)",
                                           "r.toml")
                           .error()
                           .message;
  EXPECT_THAT(message, HasSubstr("r.toml:8: unknown key 'mastre'"));
  EXPECT_THAT(message, HasSubstr("location us-east-1 is not of jurisdiction CA"));
  EXPECT_THAT(message, HasSubstr("r.toml:7: a region's url is scheme and host"));
}

TEST(RegionUrl, IsAPlainBase) {
  for (const char* good :
       {"https://ca.example.com", "https://ca.example.com:8443", "http://127.0.0.1:8080"}) {
    EXPECT_TRUE(check_region_url(good)) << good;
  }
  for (const char* bad :
       {"http://ca.example.com", "https://", "https://a/b", "ftp://a", "https://user@a",
        "https://A", "http://127.0.0.1.evil.com", "http://localhost.evil.com"}) {
    EXPECT_FALSE(check_region_url(bad)) << bad;
  }
}

TEST(DomainHash, IsKeyedAndCanonical) {
  const Secret pepper(std::string(32, 'p'));
  const auto hash = store::registry_domain_hash(pepper, "Example.ORG.").value();
  EXPECT_EQ(hash, store::registry_domain_hash(pepper, "example.org").value());
  EXPECT_NE(hash, store::registry_domain_hash(Secret(std::string(32, 'q')), "example.org").value());
  EXPECT_FALSE(store::registry_domain_hash(Secret(std::string(31, 'p')), "example.org"));
  for (const char* bad :
       {"", "localhost", "a@example.org", ".org", "ex ample.org", "exämple.org"}) {
    EXPECT_FALSE(store::registry_domain_hash(pepper, bad)) << bad;
  }
}

}  // namespace
}  // namespace domicile::registry
