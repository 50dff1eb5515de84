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
  EXPECT_TRUE(http::is_peer(request("Bearer peer-token"), token));
  for (const char* bad : {"", "Bearer ", "Bearer peer-toke", "Bearer peer-token ", "peer-token",
                          "Basic peer-token"}) {
    EXPECT_FALSE(http::is_peer(request(bad), token)) << bad;
  }
  EXPECT_FALSE(http::is_peer(request("Bearer "), Secret())) << "an empty token admits nobody";
}

// Counts who gets as far as its changes; whoever is refused must not.
class CountingStore final : public RegistryStore {
 public:
  Result<RegistryDelta> changes(const RegistryHead&, unsigned) override {
    ++asked;
    return RegistryDelta{};
  }
  Result<RegistryHead> head() override { return RegistryHead{}; }
  Result<std::vector<domain::Region>> regions() override { return none(); }
  Result<std::vector<store::RegionCount>> counts() override { return none(); }
  Result<RegistryEntryDetails> show(const domain::OrgKey&) override { return none(); }
  Result<std::optional<domain::OrgKey>> key_of(const domain::Slug&) override { return none(); }
  Result<std::vector<RegistryEntryDetails>> list(const RegistryFilter&) override { return none(); }
  Result<RegistryChange> create(const std::string&, const domain::OrgKey&, const domain::Slug&,
                                const domain::RegionId&,
                                std::span<const domain::DomainHash>) override {
    return none();
  }
  Result<RegistryChange> place(const std::string&, const domain::OrgKey&, domain::Epoch,
                               domain::PlacementState) override {
    return none();
  }
  Result<RegistryChange> change_domains(const std::string&, const domain::OrgKey&,
                                        std::span<const domain::DomainHash>,
                                        std::span<const domain::DomainHash>) override {
    return none();
  }
  Result<void> adopt_pepper(const Secret&) override { return none(); }
  int asked = 0;

 private:
  static std::unexpected<Error> none() { return fail(Code::not_found, "not in this store"); }
};

TEST(Feed, WithCertificatesTheTokenAloneIsNotEnough) {
  CountingStore store;
  std::vector<std::string> refused;
  std::optional<bool> known = true;
  const auto feed = feed_handler(
      store,
      {.gate = {.token = Secret(std::string("peer-token")),
                .certificates = true,
                .knows_region =
                    [&](std::string_view region) { return region == "us-east-1" ? known : false; },
                .on_refused = [&](const http::Request&,
                                  std::string_view reason) { refused.emplace_back(reason); }},
       .wait_past = {}});
  runtime::ClientCertificate certificate;
  certificate.of_peer = true;
  certificate.regions = {"us-east-1", "mars-north-1"};
  const auto ask = [&](const runtime::ClientCertificate& shown, const char* claimed) {
    http::Request asked = request("Bearer peer-token");
    asked.certificate = shown;
    if (claimed != nullptr) asked.headers.emplace_back("domicile-region", claimed);
    return feed(asked).status;
  };
  EXPECT_EQ(feed(request("Bearer peer-token")).status, 403);
  EXPECT_EQ(ask(certificate, nullptr), 403);
  EXPECT_EQ(ask(certificate, "ca-central-1"), 403);
  EXPECT_EQ(ask(certificate, "mars-north-1"), 403);
  runtime::ClientCertificate of_a_client = certificate;  // by an authority of clients
  of_a_client.of_peer = false;
  of_a_client.of_client = true;
  EXPECT_EQ(ask(of_a_client, "us-east-1"), 403);
  EXPECT_THAT(refused, testing::ElementsAre("peer_certificate_required", "peer_region_mismatch",
                                            "peer_region_mismatch", "peer_region_unknown",
                                            "peer_certificate_required"));
  known = std::nullopt;  // the node has just started
  EXPECT_EQ(ask(certificate, "us-east-1"), 503);
  EXPECT_EQ(store.asked, 0);
  known = true;
  EXPECT_EQ(ask(certificate, "us-east-1"), 200);
  EXPECT_EQ(refused.size(), 5u);
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
