// A real HTTP server for tests that says exactly what its script says, in pieces and with pauses:
// what a key endpoint elsewhere may do to us. One thread a connection, one request each.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "runtime/socket.h"

namespace domicile::issuer {

class TestKeyServer {
 public:
  // One answer on its way.
  class Call {
   public:
    Call(TestKeyServer& server, int fd) : server_(server), fd_(fd) {}
    // False when nobody listens any more, or the server ends.
    bool say(std::string_view piece) const {
      return !server_.stopped(std::chrono::milliseconds(0)) &&
             ::send(fd_, piece.data(), piece.size(), MSG_NOSIGNAL) ==
                 static_cast<ssize_t>(piece.size());
    }
    // True when the server ends meanwhile.
    bool pause(std::chrono::milliseconds time) const { return server_.stopped(time); }

   private:
    TestKeyServer& server_;
    int fd_;
  };
  using Script = std::function<void(const Call&)>;

  explicit TestKeyServer(Script script)
      : script_(std::move(script)),
        listener_(runtime::listen_tcp(runtime::numeric_address("127.0.0.1", 0).value()).value()),
        port_(runtime::bound_address(listener_).value().port()) {
    ::fcntl(listener_.get(), F_SETFL, ::fcntl(listener_.get(), F_GETFL) & ~O_NONBLOCK);
    acceptor_ = std::thread([this] { accept(); });
  }
  ~TestKeyServer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (auto& thread : threads_) thread.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/keys"; }
  int requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  bool wait_for_requests(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return requests_ >= count; });
  }
  bool wait_for_answers(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return answers_ >= count; });
  }
  void script(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }
  static std::string answer(std::string_view body, std::string_view status = "200 OK") {
    return "HTTP/1.1 " + std::string(status) +
           "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
  }
  static constexpr std::chrono::seconds kLong{20};

 private:
  bool stopped(std::chrono::milliseconds within) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, within, [this] { return stopping_; });
  }
  void accept() {
    for (;;) {
      const int fd = ::accept(listener_.get(), nullptr, nullptr);
      if (fd < 0) return;
      threads_.emplace_back([this, fd] { serve(runtime::Fd(fd)); });
    }
  }
  void serve(runtime::Fd fd) {
    std::string in;
    char buffer[4096];
    while (in.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return;
      in.append(buffer, static_cast<std::size_t>(n));
    }
    Script script;
    {
      const std::lock_guard lock(mutex_);
      ++requests_;
      changed_.notify_all();
      script = script_;
    }
    script(Call(*this, fd.get()));
    const std::lock_guard lock(mutex_);
    ++answers_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Script script_;
  int requests_ = 0, answers_ = 0;
  bool stopping_ = false;
  runtime::Fd listener_;
  std::uint16_t port_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
};

}  // namespace domicile::issuer
