// An issuer for tests: region ca-central-1 of two, fake clock, recorded events.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json_fwd.hpp>

#include "base/encoding.h"
#include "crypto/random.h"
#include "issuer/client_authentication.h"
#include "issuer/issuer.h"
#include "issuer/memory_directory.h"
#include "token/token_verifier.h"

namespace domicile::issuer {

class RecordingSink final : public domain::EventSink {
 public:
  std::vector<domain::Event> events;
  bool full = false;
  void submit(domain::Event event, Completion done) override {
    if (full) return done(fail(Code::unavailable, "the disk is full"));
    events.push_back(std::move(event));
    done(events.size());
  }
};

class IssuerTest : public ::testing::Test {
 protected:
  IssuerTest() {
    domain::RegistrySnapshot::Builder builder;
    builder.registry_id(std::string(32, '0'));
    builder.regions({{.id = domain::RegionId("ca-central-1"),
                      .jurisdiction = domain::JurisdictionId("CA"),
                      .locations = {domain::LocationId("ca-central-1")},
                      .url = "https://ca.test",
                      .master = true},
                     {.id = domain::RegionId("us-east-1"),
                      .jurisdiction = domain::JurisdictionId("US"),
                      .locations = {domain::LocationId("us-east-1")},
                      .url = "https://us.test"}});
    const auto put = [&](const char* key, const char* slug, const char* region,
                         domain::PlacementState state) {
      domain::Organization organization;
      organization.key = domain::OrgKey(key);
      organization.slug = domain::Slug(slug);
      organization.placement = {domain::RegionId(region), 3, state};
      organization.revision = ++revision_;
      EXPECT_TRUE(builder.put(organization));
    };
    put("7", "acme", "ca-central-1", domain::PlacementState::active);
    put("8", "beta", "us-east-1", domain::PlacementState::active);
    put("9", "sleepy", "ca-central-1", domain::PlacementState::suspended);
    put("10", "movers", "ca-central-1", domain::PlacementState::moving);
    snapshot_ = builder.build(revision_).value();
    restart();
    add_user("u_1", "7", "ann@acme.test", {"editor"});
    add_user("u_9", "9", "zed", {"member"});
    directory.clients["web"] = {.id = "web", .password = true, .refresh_token = true};
    directory.clients["spa"] = {.id = "spa",
                                .refresh_token = true,
                                .authorization_code = true,
                                .redirect_uris = {"https://app.test/done"},
                                .signed_out_uris = {"https://app.test/bye"}};
    directory.clients["service"] = {.id = "service",
                                    .organization = domain::OrgKey("7"),
                                    .secret_hash = client_secret_hash(Secret("s3cret&x")),
                                    .client_credentials = true,
                                    .permissions = {domain::Permission("reports:read")}};
  }

  void restart() {
    IssuerOptions options;
    options.region = domain::RegionId("ca-central-1");
    options.url = "https://ca.test";
    options.locator_key = Secret(std::string(32, 'l'));
    options.form_key = Secret(std::string(32, 'f'));
    options.password = {.memory_kib = 64, .iterations = 1};
    issuer = Issuer::create(std::move(options),
                            {directory, directory, sink, clock, [this] { return snapshot_; }, {}},
                            RoleBook::built_in(), external,
                            crypto::SealingKey::create(Secret(std::string(32, 'k'))).value())
                 .value();
    EXPECT_TRUE(issuer->keys().refresh());
  }

  void add_user(const char* id, const char* organization, const char* login,
                std::vector<std::string> roles) {
    store::UserAccount user;
    user.id = domain::UserId(id);
    user.organization = domain::OrgKey(organization);
    user.login = login;
    user.password_hash = hasher_.hash(Secret("correct horse")).value();
    for (auto& role : roles) user.roles.emplace_back(role);
    directory.users[id] = user;
  }

  http::Response post(std::string path, std::string body, http::Headers more = {}) {
    http::Request request;
    request.method = "POST";
    request.path = std::move(path);
    request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
    request.headers.insert(request.headers.end(), more.begin(), more.end());
    request.body = std::move(body);
    request.peer_ip = ip;
    request.request_id = "r1";
    return issuer->handle(request);
  }
  http::Response get(std::string path) {
    http::Request request;
    request.method = "GET";
    request.path = std::move(path);
    return issuer->handle(request);
  }
  http::Response sign_in(const std::string& login = "ann%40acme.test",
                         const std::string& password = "correct+horse",
                         const std::string& organization = "acme", const std::string& more = "") {
    return post("/oauth2/token", "grant_type=password&client_id=web&username=" + login +
                                     "&password=" + password + "&organization=" + organization +
                                     more);
  }
  http::Response refresh(const std::string& token, const std::string& more = "") {
    return post("/oauth2/token",
                "grant_type=refresh_token&client_id=web&refresh_token=" + token + more);
  }
  static nlohmann::json body(const http::Response& response);
  static std::string error(const http::Response& response);
  static std::string header(const http::Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  Result<domain::Principal> verify(const std::string& token) {
    token::TokenVerifier verifier({}, {{"https://ca.test", domain::RegionId("ca-central-1"),
                                        issuer->keys().keys()->published}});
    return verifier.verify(token, clock.unix_seconds());
  }

  std::vector<token::ExternalIssuer> external;  // read by restart()
  MemoryDirectory directory;
  RecordingSink sink;
  FakeClock clock;
  std::unique_ptr<Issuer> issuer;
  std::string ip = "203.0.113.9";

 private:
  PasswordHasher hasher_{{.memory_kib = 64, .iterations = 1}};
  std::shared_ptr<const domain::RegistrySnapshot> snapshot_;
  std::uint64_t revision_ = 0;
};

}  // namespace domicile::issuer
