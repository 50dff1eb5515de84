// A real server with a few handlers, for tests that speak HTTP/2 to it frame by frame.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/http2_test_client.h"
#include "http/mounts.h"
#include "http/server.h"

namespace domicile::http {

class Http2Test : public testing::Test {
 protected:
  Http2Test() : pool_(2, 64), mounts_(std::make_unique<Mounts>(pool_, 1 << 20)) {
    limits_.body_bytes_max = 4 << 20;
    limits_.linger_ms = std::chrono::milliseconds(200);
    mounts_->add("/echo", [](const Request& request) {
      return Response{
          200,
          {{"content-type", "text/plain"}, {"X-Mixed", "Case"}},
          request.method + " " + request.path + "?" + request.query + " " + request.body};
    });
    mounts_->add("/fields", [](const Request& request) {
      std::string body;
      for (const auto& [name, value] : request.headers) body += name + "=" + value + "\n";
      return Response{200, {}, body};
    });
    mounts_->add("/files/",
                 [](const Request& request) { return json_response(200, request.path); });
    mounts_->add("/big",
                 [](const Request&) { return Response{200, {}, std::string(8 << 20, 'b')}; });
    mounts_->add("/wait", [this](const Request&) {
      if (!waited_.exchange(true)) waiting_.set_value();
      released_.wait();
      return Response{200, {}, "waited"};
    });
  }
  ~Http2Test() override {
    release();
    server_.reset();
    pool_.stop();
  }
  void start(unsigned loops = 1) {
    ListenerOptions listener;
    listener.loops = loops;
    server_ = Server::create(listener, limits_, clock_, metrics_, [this](ServerContext&) {
                return Result<std::unique_ptr<Service>>(std::make_unique<MountsService>(*mounts_));
              }).value();
    ASSERT_TRUE(server_->start());
  }
  void release() {
    if (!done_.exchange(true)) release_.set_value();
  }
  void wait_for(std::string_view line) {
    while (!metrics_.page().contains(line)) std::this_thread::yield();
  }
  std::uint16_t port() const { return server_->port(); }
  static Http2TestClient::Fields get(std::string path = "/echo",
                                     const Http2TestClient::Fields& more = {}) {
    return Http2TestClient::request("GET", std::move(path), more);
  }
  static Http2TestClient::Fields post(const Http2TestClient::Fields& more = {}) {
    return Http2TestClient::request("POST", "/echo", more);
  }

  SystemClock clock_;
  Metrics metrics_;
  ServerLimits limits_;
  runtime::WorkerPool pool_;
  std::unique_ptr<Mounts> mounts_;
  std::unique_ptr<Server> server_;
  std::atomic<bool> waited_ = false, done_ = false;
  std::promise<void> waiting_, release_;
  std::shared_future<void> released_ = release_.get_future().share();
};

}  // namespace domicile::http
