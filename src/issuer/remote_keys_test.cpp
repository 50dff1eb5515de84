#include "issuer/remote_keys.h"

#include <algorithm>
#include <condition_variable>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "crypto/signing_key.h"
#include "issuer/test_key_server.h"

namespace domicile::issuer {
namespace {

using Keys = std::shared_ptr<const token::KeySet>;
using Call = TestKeyServer::Call;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string jwks(const std::string& kid = "k1") {
  static const auto key = crypto::SigningKey::generate(crypto::Algorithm::es256).value();
  return token::KeySet::create({{kid, key.public_key()}}).value()->to_json();
}

TestKeyServer::Script says(std::string text) {
  return [text = std::move(text)](const Call& call) { call.say(text); };
}
TestKeyServer::Script says_body(std::string_view body, std::string_view status = "200 OK") {
  return says(TestKeyServer::answer(body, status));
}

// The whole document is right, and comes a byte at a time.
TestKeyServer::Script drips(milliseconds pause) {
  return [pause](const Call& call) {
    for (const char c : TestKeyServer::answer(jwks())) {
      if (!call.say(std::string_view(&c, 1)) || call.pause(pause)) return;
    }
  };
}

// A fake clock that knows when somebody has looked at it.
class WatchedClock final : public Clock {
 public:
  WallTime now() const override { return time_.now(); }
  SteadyTime steady() const override {
    const std::lock_guard lock(mutex_);
    ++looks_;
    looked_.notify_all();
    return time_.steady();
  }
  void advance(seconds by) { time_.advance(by); }
  // Once to see whether something is due, once to see how long to wait.
  bool wait_for_looks(const std::function<void()>& then, int count = 2) {
    std::unique_lock lock(mutex_);
    const int wanted = looks_ + count;
    lock.unlock();
    then();
    lock.lock();
    return looked_.wait_for(lock, TestKeyServer::kLong, [&] { return looks_ >= wanted; });
  }

 private:
  FakeClock time_;
  mutable std::mutex mutex_;
  mutable std::condition_variable looked_;
  mutable int looks_ = 0;
};

class RemoteKeysTest : public ::testing::Test {
 protected:
  RemoteKeysTest() {
    options_.client.connect_ms = milliseconds(300);
    options_.client.total_ms = milliseconds(300);
  }

  void start(std::vector<KeySource> sources) {
    {
      const std::lock_guard lock(mutex_);
      sources_ = std::move(sources);
    }
    if (keys_ != nullptr) return keys_->sources_changed();
    keys_ = std::make_unique<RemoteKeys>(
        options_, clock_,
        [this] {
          const std::lock_guard lock(mutex_);
          return sources_;
        },
        [this](const std::string& issuer, Keys keys) {
          const std::lock_guard lock(mutex_);
          known_[issuer] = std::move(keys);
          ++delivered_[issuer];
          changed_.notify_all();
        });
  }

  bool wait(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, TestKeyServer::kLong, condition);
  }
  bool wait_for_kid(const std::string& issuer, const std::string& kid) {
    return wait([&] { return known_[issuer] != nullptr && known_[issuer]->find(kid) != nullptr; });
  }
  bool wait_for_none(const std::string& issuer) {
    return wait([&] { return known_[issuer] == nullptr; });
  }
  bool has_keys(const std::string& issuer) {
    const std::lock_guard lock(mutex_);
    return known_[issuer] != nullptr;
  }
  int delivered(const std::string& issuer) {
    const std::lock_guard lock(mutex_);
    return delivered_[issuer];
  }
  void pass(seconds time) {
    clock_.advance(time);
    keys_->sources_changed();  // looks at the clock
  }

  // The only source has dealt with what was under way: a fetch looks at the clock four times.
  void settle() {
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE(clock_.wait_for_looks([&] { keys_->sources_changed(); }));
  }

  WatchedClock clock_;
  RemoteKeysOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<KeySource> sources_;
  std::map<std::string, Keys> known_;
  std::map<std::string, int> delivered_;
  std::unique_ptr<RemoteKeys> keys_;
};

std::vector<std::pair<std::string, TestKeyServer::Script>> bad_endpoints() {
  const nlohmann::json good = nlohmann::json::parse(jwks())["keys"][0];
  auto leaking = good;
  leaking["d"] = "AAAA";
  const nlohmann::json short_rsa = {{"kty", "RSA"},
                                    {"kid", "k1"},
                                    {"alg", "RS256"},
                                    {"e", "AQAB"},
                                    {"n", std::string(85, 'q') + 'w'}};
  const auto set_of = [](std::vector<nlohmann::json> keys) {
    return says_body(nlohmann::json{{"keys", std::move(keys)}}.dump());
  };
  return {
      {"drips", drips(milliseconds(50))},
      {"hangs", [](const Call& call) { call.pause(TestKeyServer::kLong); }},
      {"is huge", says_body(jwks() + std::string(70'000, ' '))},
      {"is endless",
       [](const Call& call) {
         call.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + jwks());
         while (call.say(std::string(65536, ' '))) continue;
       }},
      {"redirects", says("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")},
      {"fails", says_body(jwks(), "500 Internal Server Error")},
      {"is a page", says_body("<html><body>Sign in to continue</body></html>")},
      {"is no JSON", says_body(jwks() + "x")},
      {"has a kid twice", set_of({good, good})},
      {"has a private key", set_of({leaking})},
      {"has a symmetric key",
       says_body(R"({"keys":[{"kty":"oct","kid":"k1","alg":"HS256","k":"AAAA"}]})")},
      {"has RSA of 512 bits", set_of({short_rsa})},
      {"is cut short", says("HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"keys\":[")},
      {"speaks no HTTP", says("SSH-2.0-OpenSSH_9.2\r\n")}};
}

TEST_F(RemoteKeysTest, WhateverOneEndpointDoesItsKeysAreNotBelievedAndOthersAreUnaffected) {
  std::vector<std::unique_ptr<TestKeyServer>> servers;
  std::vector<KeySource> sources;
  for (const auto& [name, script] : bad_endpoints()) {
    servers.push_back(std::make_unique<TestKeyServer>(script));
    sources.push_back({name, servers.back()->url()});
  }
  TestKeyServer plain(says("")), healthy(says_body(jwks()));
  sources.push_back({"speaks no TLS", "https" + plain.url().substr(4)});
  sources.push_back({"is gone", TestKeyServer(says("")).url()});
  sources.push_back({"healthy", healthy.url()});
  start(sources);
  ASSERT_TRUE(wait_for_kid("healthy", "k1"));
  healthy.script(says_body(jwks("k2")));
  pass(seconds(300));
  ASSERT_TRUE(wait_for_kid("healthy", "k2"));
  for (const auto& server : servers) EXPECT_TRUE(server->wait_for_requests(1));
  servers.clear();
  keys_.reset();  // nothing is under way any more
  for (const KeySource& source : sources) {
    if (source.issuer != "healthy") EXPECT_EQ(delivered(source.issuer), 0) << source.issuer;
  }
}

TEST_F(RemoteKeysTest, AnHourWithoutFreshKeysIsTheEndOfTheOldOnesAndNotBefore) {
  for (const auto& wrong : {says(""), says_body("<html>", "200 OK"),
                            says_body("gone", "404 Not Found"), says_body(R"({"keys":[]})")}) {
    TestKeyServer server(says_body(jwks()));
    start({{"a", server.url()}});
    ASSERT_TRUE(wait_for_kid("a", "k1"));
    server.script(wrong);
    pass(seconds(3540));
    ASSERT_TRUE(server.wait_for_answers(2));
    settle();
    EXPECT_TRUE(has_keys("a"));  // 59 minutes: still good
    pass(seconds(60));
    ASSERT_TRUE(wait_for_none("a"));
    settle();  // one more try follows at once: it must not count as one of the next minute
    server.script(says_body(jwks("k2")));
    pass(seconds(60));
    ASSERT_TRUE(wait_for_kid("a", "k2"));  // and back, without a restart
    start({});
    ASSERT_TRUE(wait_for_none("a"));
  }
}

TEST_F(RemoteKeysTest, AFetchThatHangsDoesNotOutlastTheKeysThatItWouldRenew) {
  options_.client.total_ms = milliseconds(60'000);
  TestKeyServer server(says_body(jwks()));
  start({{"a", server.url()}});
  ASSERT_TRUE(wait_for_kid("a", "k1"));
  server.script([](const Call& call) { call.pause(TestKeyServer::kLong); });
  pass(seconds(3599));  // a second is left
  ASSERT_TRUE(server.wait_for_requests(2));
  clock_.advance(seconds(1));
  EXPECT_TRUE(wait_for_none("a"));
}

TEST_F(RemoteKeysTest, AFloodOfUnknownKeysIsOneFetchPerPenaltyAndStillFindsTheNewKey) {
  TestKeyServer server(says_body(jwks()));
  start({{"a", server.url()}});
  ASSERT_TRUE(wait_for_kid("a", "k1"));
  const auto flood = [&] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) keys_->unknown_key("a");
        for (int i = 0; i < 1'000; ++i) keys_->unknown_key("nobody");
      });
    }
  };
  ASSERT_TRUE(clock_.wait_for_looks(flood));
  EXPECT_EQ(server.requests(), 1);  // it was fetched just before: in the penalty box
  server.script(says_body(jwks("k2")));
  pass(seconds(30));
  ASSERT_TRUE(wait_for_kid("a", "k2"));
  ASSERT_TRUE(clock_.wait_for_looks(flood));
  keys_.reset();
  EXPECT_EQ(server.requests(), 2);
  EXPECT_EQ(delivered("a"), 2);
}

TEST_F(RemoteKeysTest, AFailingEndpointIsAskedLessAndLess) {
  TestKeyServer server(says_body("", "500 Internal Server Error"));
  start({{"a", server.url()}});
  ASSERT_TRUE(server.wait_for_answers(1));
  for (int second = 0; second < 300; ++second)
    ASSERT_TRUE(clock_.wait_for_looks([&] { pass(seconds(1)); }));
  EXPECT_LE(server.requests(), 6 + 300 / 30);  // 1, 2, 4, 8, 16 and then every 30 seconds
  server.script(says_body(jwks()));
  pass(seconds(30));
  EXPECT_TRUE(wait_for_kid("a", "k1"));
}

TEST_F(RemoteKeysTest, UnchangedKeysAreNotDeliveredAgain) {
  TestKeyServer server(says_body(jwks()));
  start({{"a", server.url()}});
  ASSERT_TRUE(wait_for_kid("a", "k1"));
  for (int fetches = 2; fetches < 5; ++fetches) {
    pass(seconds(300));
    ASSERT_TRUE(server.wait_for_answers(fetches));
  }
  keys_.reset();
  EXPECT_EQ(delivered("a"), 1);
}

TEST_F(RemoteKeysTest, ASourceThatIsGoneTakesItsKeysAlongAlsoInTheMiddleOfAFetch) {
  options_.client.total_ms = milliseconds(10'000);
  TestKeyServer slow(drips(milliseconds(1))), next(says_body(jwks("k2")));
  start({{"a", slow.url()}, {"b", next.url()}});
  ASSERT_TRUE(slow.wait_for_requests(1) && wait_for_kid("b", "k2"));
  start({{"a", next.url()}});  // a's address is another one now, and b is gone
  ASSERT_TRUE(wait_for_kid("a", "k2"));
  EXPECT_FALSE(has_keys("b"));
  ASSERT_TRUE(slow.wait_for_answers(1));  // the former address has answered
  keys_.reset();
  EXPECT_TRUE(wait_for_kid("a", "k2"));
  EXPECT_EQ(delivered("a"), 1);
}

}  // namespace
}  // namespace domicile::issuer
