// A whole door for tests: real sockets, real tokens, real policy and snapshot, a real upstream.
// Only the event sink is the test's own, so that it can hold events back or refuse them.
#pragma once

#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/signing_key.h"
#include "gateway/http_gateway.h"
#include "gateway/test_upstream.h"
#include "http/test_client.h"
#include "token/token_signer.h"

namespace domicile::gateway {

class TestSink final : public domain::EventSink {
 public:
  enum class Mode { durable, hold, refuse };

  void submit(domain::Event event, Completion done) override {
    std::unique_lock lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
    if (mode_ == Mode::hold) {
      held_.push_back(std::move(done));
      return;
    }
    const bool refuse = mode_ == Mode::refuse;
    const std::uint64_t sequence = events_.size();
    lock.unlock();
    if (refuse) {
      done(fail(Code::unavailable, "full", "audit_unavailable"));
    } else {
      done(sequence);
    }
  }
  void mode(Mode mode) {
    const std::lock_guard lock(mutex_);
    mode_ = mode;
  }
  void release_held() {
    std::vector<Completion> held;
    {
      const std::lock_guard lock(mutex_);
      mode_ = Mode::durable;
      held.swap(held_);
    }
    for (auto& done : held) done(std::uint64_t{1});
  }
  std::vector<domain::Event> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return events_.size() >= count; });
    return events_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Mode mode_ = Mode::durable;
  std::vector<domain::Event> events_;
  std::vector<Completion> held_;
};

inline constexpr std::string_view kRoutes = R"(version = 1
[[route]]
name = "courses.read"
methods = ["GET", "HEAD"]
path = "/orgs/{org}/courses/{id}"
organization = "path:org"
permission = "courses:read"
audit = "bounded"

[[route]]
name = "courses.live"
methods = ["GET"]
path = "/orgs/{org}/live"
organization = "path:org"
permission = "courses:read"
audit = "strict"
websocket = true

[[route]]
name = "courses.create"
methods = ["POST"]
path = "/orgs/{org}/courses"
organization = "path:org"
permission = "courses:write"
audit = "bounded"

[[route]]
name = "courses.delete"
methods = ["DELETE"]
path = "/orgs/{org}/courses/{id}"
organization = "path:org"
permission = "courses:write"
audit = "strict"
)";

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

inline std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

class GatewayTest : public testing::Test {
 protected:
  static constexpr const char* kHere = "ca-central-1";
  static constexpr const char* kThere = "us-east-1";

  GatewayTest()
      : key_(crypto::SigningKey::generate(crypto::Algorithm::es256).value()),
        upstream_([this](const std::string& request, int nth) { return script_(request, nth); }) {
    options_.region = domain::RegionId(kHere);
    options_.upstreams = {{"app", upstream_.url()}};
    options_.limits.linger_ms = std::chrono::milliseconds(500);
    snapshot_ = make_snapshot(1, {});
  }

  struct Change {
    const char* key;
    domain::PlacementState state;
    const char* region;
    domain::Epoch epoch;
  };
  // 7 and 8 live here, 9 in the other region; `changes` replace what is said of one.
  static std::shared_ptr<const domain::RegistrySnapshot> make_snapshot(
      std::uint64_t revision, std::vector<Change> changes) {
    using domain::PlacementState;
    std::vector<Change> all = {{"7", PlacementState::active, kHere, 3},
                               {"8", PlacementState::active, kHere, 3},
                               {"9", PlacementState::active, kThere, 3}};
    for (const Change& change : changes) {
      for (Change& known : all) {
        if (std::string_view(known.key) == change.key) known = change;
      }
    }
    domain::RegistrySnapshot::Builder builder;
    builder.regions(
        {{domain::RegionId(kHere), domain::JurisdictionId("CA"), {}, "https://ca.test", true},
         {domain::RegionId(kThere), domain::JurisdictionId("US"), {}, "https://us.test", false}});
    for (const Change& c : all) {
      EXPECT_TRUE(builder.put({domain::OrgKey(c.key),
                               domain::Slug(std::string("org-") + c.key),
                               {domain::RegionId(c.region), c.epoch, c.state},
                               revision}));
    }
    return must(builder.build(revision));
  }

  void start(unsigned loops = 1) {
    options_.listener.loops = loops;
    auto created = HttpGateway::create(
        options_, HttpGatewayParts{
                      .clock = clock_,
                      .events = sink_,
                      .policy = must(policy::RoutePolicy::parse(kRoutes, "routes.toml")),
                      .snapshot = snapshot_,
                      .make_verifier = [this] { return token::TokenVerifier({}, issuers()); },
                      .make_signer =
                          [] {
                            return token::ContextSigner::create(
                                {"k1", Secret(std::string(32, 'k'))}, "ab12");
                          },
                      .handlers = {{"/v1/", [](const http::Request& request) {
                                      return http::json_response(200, "\"" + request.path + "\"");
                                    }}}});
    ASSERT_TRUE(created) << created.error().message;
    gateway_ = std::move(*created);
    ASSERT_TRUE(gateway_->start());
  }
  std::vector<token::TrustedIssuer> issuers() {
    auto keys = must(token::KeySet::create({{"es", key_.public_key()}}));
    return {{"https://ca.test", domain::RegionId(kHere), keys},
            {"https://us.test", domain::RegionId(kThere), keys}};
  }
  std::string token(std::string_view org = "7", bool here = true,
                    std::vector<domain::Grant> grants = {}, domain::Epoch epoch = 3,
                    std::string subject = "user-1",
                    const std::vector<domain::Permission>& more = {}, int lifetime_s = 600) {
    token::AccessClaims claims;
    claims.issuer = here ? "https://ca.test" : "https://us.test";
    claims.client_id = "web";
    claims.subject = domain::UserId(subject);
    claims.organization = domain::OrgKey(org);
    claims.region = domain::RegionId(here ? kHere : kThere);
    claims.epoch = epoch;
    claims.permissions = {domain::Permission("courses:read"), domain::Permission("courses:write")};
    claims.permissions.insert(claims.permissions.end(), more.begin(), more.end());
    claims.grants = std::move(grants);
    claims.token_id = "jti-1";
    claims.issued_at = clock_.unix_seconds();
    claims.expires_at = claims.issued_at + lifetime_s;
    return must(token::TokenSigner("es", key_).sign(claims));
  }
  std::string request(std::string_view line, std::string_view fields = "",
                      std::string_view body = "") {
    std::string out = std::string(line) + " HTTP/1.1\r\nHost: ca.test\r\nAuthorization: Bearer " +
                      token() + "\r\n" + std::string(fields);
    if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + std::string(body);
  }
  http::TestClient connect() { return http::TestClient(gateway_->port()); }

  SystemClock clock_;
  TestSink sink_;
  crypto::SigningKey key_;
  TestUpstream::Script script_ = [](const std::string&, int) { return ok("from the application"); };
  TestUpstream upstream_;
  HttpGatewayOptions options_;
  std::shared_ptr<const domain::RegistrySnapshot> snapshot_;
  std::unique_ptr<HttpGateway> gateway_;
};

}  // namespace domicile::gateway
