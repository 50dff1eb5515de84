#include "app/node_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace domicile::app {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kGood = R"(
[node]
region = "ca-central-1"
state_directory = "state"
[http]
listen = "127.0.0.1:8443"
certificate = "door.pem"
key = "door.key"
[database]
dsn_file = "node.dsn"
[registry]
source = "postgresql"
dsn_file = "registry.dsn"
[peers]
token_file = "peer.token"
[issuer]
url = "https://ca.example.com"
key_file = "issuer.key"
[gateway]
routes = "routes.toml"
upstream = "127.0.0.1:9000"
[audit]
directory = "/var/lib/domicile/audit"
)";

std::string without(std::string_view line) {
  std::string text(kGood);
  text.erase(text.find(line), line.size());
  return text;
}

TEST(NodeConfig, ReadsPathsRelativeToTheFile) {
  const auto config = parse_node_config(kGood, "node.toml", "/etc/domicile");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->state_directory, "/etc/domicile/state");
  EXPECT_EQ(config->audit_directory, "/var/lib/domicile/audit");
  EXPECT_EQ(config->listen.port, 8443);
  EXPECT_EQ(config->loops, 0u);  // one per core
  EXPECT_EQ(config->drain_ms.count(), 20'000);
  EXPECT_TRUE(config->http2);
}

TEST(NodeConfig, CanLeaveHttp2Out) {
  for (const auto& [line, offered] :
       {std::pair("http2 = false\n", false), {"http2 = true\n", true}}) {
    std::string text(kGood);
    text.replace(text.find("[http]\n"), 7, std::string("[http]\n") + line);
    const auto config = parse_node_config(text, "node.toml", "/etc/domicile");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->http2, offered);
  }
  std::string text(kGood);
  text.replace(text.find("[http]\n"), 7, "[http]\nhttp2 = \"no\"\n");
  const auto config = parse_node_config(text, "node.toml", "/etc/domicile");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("http.http2"), std::string::npos);
}

TEST(NodeConfig, ReadsDeadlinesAndRefusesThoseThatCannotBeMeant) {
  std::string text(kGood);
  text.replace(text.find("[gateway]\n"), 10, "[gateway]\nresponse_ms = 2500\ntotal_ms = 90000\n");
  const auto config = parse_node_config(text, "node.toml", "/");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->response_ms.count(), 2500);
  EXPECT_EQ(config->total_ms.count(), 90'000);
  text.replace(text.find("2500"), 4, "0");
  EXPECT_THAT(parse_node_config(text, "node.toml", "/").error().message,
              HasSubstr("'gateway.response_ms'"));
}

TEST(NodeConfig, ReadsSeveralUpstreamsAndRates) {
  std::string text(kGood);
  const std::string_view one = "upstream = \"127.0.0.1:9000\"\n";
  text.replace(text.find(one), one.size(), "upstreams = [\"10.0.0.1:1\", \"[::1]:2\"]\n");
  text += "[limits]\norganization_per_second = 5\norganization_burst = 9\n";
  const auto config = parse_node_config(text, "node.toml", "/");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->upstreams.size(), 2u);
  EXPECT_EQ(config->upstreams[0].text(), "10.0.0.1:1");
  EXPECT_EQ(config->upstreams[1].text(), "[::1]:2");
  EXPECT_EQ(config->rates.organization.per_second, 5u);
  EXPECT_EQ(config->rates.organization.burst, 9u);
  EXPECT_EQ(config->rates.client.per_second, 0u);

  std::string bad = text + "client_burst = 3\n";
  bad.replace(bad.find("[::1]:2"), 7, "nowhere");
  bad.replace(bad.find("upstreams"), 9, std::string(one) + "upstreams");
  const auto error = parse_node_config(bad, "node.toml", "/").error();
  EXPECT_THAT(error.message, HasSubstr("write one of them"));
  EXPECT_THAT(error.message, HasSubstr("'gateway.upstreams' holds what is not host:port"));
  EXPECT_THAT(error.message, HasSubstr("'limits.client_burst' needs limits.client_per_second"));
}

TEST(NodeConfig, ReadsCertificatesOfClientsAndPeersAndRefusesHalfOfThem) {
  const auto with = [](std::string_view http, std::string_view peers) {
    std::string text(kGood);
    text.replace(text.find("[database]"), 0, std::string(http) + "\n");
    text.replace(text.find("[issuer]"), 0, std::string(peers) + "\n");
    return parse_node_config(text, "node.toml", "/etc/domicile");
  };
  const auto config = with(
      "client_certificates = \"required\"\nclient_ca = \"clients.pem\"\nclient_crl = \"c.crl\"",
      "certificate = \"peer.pem\"\nkey = \"peer.key\"\nclient_ca = \"peers.pem\"\nclient_crl = "
      "\"p.crl\"");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->client_certificates, runtime::ClientCertificates::required);
  EXPECT_EQ(config->client_ca, "/etc/domicile/clients.pem");
  EXPECT_EQ(config->client_crl, "/etc/domicile/c.crl");
  EXPECT_EQ(config->peer_certificate, "/etc/domicile/peer.pem");
  EXPECT_EQ(config->peer_client_ca, "/etc/domicile/peers.pem");
  for (const auto& [http, peers, complaint] :
       std::vector<std::tuple<const char*, const char*, const char*>>{
           {"client_certificates = \"perhaps\"", "", "must be \"off\", \"optional\""},
           {"client_certificates = \"optional\"", "", "needs http.client_ca"},
           {"client_ca = \"c.pem\"", "", "has no effect"},
           {"client_crl = \"c.crl\"", "", "has no effect"},
           {"", "certificate = \"p.pem\"", "needs both certificate and key"},
           {"", "client_crl = \"p.crl\"", "has no effect without peers.client_ca"},
           {"client_certificates = \"optional\"\nclient_ca = \"c.pem\"\nclient_crl = \"c.crl\"",
            "client_ca = \"p.pem\"", "give both or neither"}}) {
    const auto refused = with(http, peers);
    ASSERT_FALSE(refused) << complaint;
    EXPECT_THAT(refused.error().message, HasSubstr(complaint));
  }
  constexpr std::string_view kTls = "certificate = \"door.pem\"\nkey = \"door.key\"\n";
  std::string plain(kGood);
  plain.replace(plain.find(kTls), kTls.size(),
                "client_certificates = \"optional\"\nclient_ca = \"c.pem\"\n");
  EXPECT_THAT(parse_node_config(plain, "node.toml", "/").error().message, HasSubstr("needs TLS"));
}

TEST(NodeConfig, ReportsEveryErrorAtOnceWithItsLine) {
  std::string text = without("key = \"door.key\"\n");
  text.replace(text.find("127.0.0.1:8443"), 14, "everywhere");
  text += "colour = 1\n";
  const auto error = parse_node_config(text, "node.toml", "/").error();
  EXPECT_EQ(error.code, Code::invalid);
  EXPECT_THAT(error.message, HasSubstr("node.toml:6: 'http.listen' is not host:port"));
  EXPECT_THAT(error.message, HasSubstr("needs both certificate and key"));
  EXPECT_THAT(error.message, HasSubstr("unknown key 'audit.colour'"));
}

TEST(NodeConfig, NamesWhatIsMissingAndTheRemedy) {
  const auto error = parse_node_config("", "node.toml", "/").error();
  EXPECT_THAT(error.message, HasSubstr("'node.region' is missing: name the region"));
  EXPECT_THAT(error.message, HasSubstr("'gateway.routes' is missing"));
  EXPECT_THAT(error.message, Not(HasSubstr("unknown key")));
}

TEST(NodeConfig, RefusesPlainHttpAwayFromLoopback) {
  std::string text = without("certificate = \"door.pem\"\nkey = \"door.key\"\n");
  EXPECT_TRUE(parse_node_config(text, "node.toml", "/"));
  text.replace(text.find("127.0.0.1:8443"), 14, "0.0.0.0:8443");
  EXPECT_THAT(parse_node_config(text, "node.toml", "/").error().message,
              HasSubstr("not a loopback address"));
}

TEST(NodeConfig, SyntaxErrorsNameLineAndColumn) {
  EXPECT_THAT(parse_node_config("[node\n", "node.toml", "/").error().message,
              HasSubstr("node.toml:1:"));
}

}  // namespace
}  // namespace domicile::app
