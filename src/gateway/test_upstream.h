// A real upstream for tests: plain sockets, one thread a connection, answers as scripted.
#pragma once

#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "runtime/socket.h"

namespace domicile::gateway {

// A port that is taken and where nobody listens: connections are refused until listen().
class SilentPort {
 public:
  SilentPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto any = runtime::numeric_address("127.0.0.1", 0).value();
    if (::bind(fd_.get(), any.get(), any.size) != 0) throw std::runtime_error("cannot bind");
    port_ = runtime::bound_address(fd_).value().port();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  runtime::Fd listen() {
    ::listen(fd_.get(), 64);
    return std::move(fd_);
  }

 private:
  runtime::Fd fd_;
  std::uint16_t port_ = 0;
};

class TestUpstream {
 public:
  // Gets the head and body (chunked ones as they came); gives the raw answer. "" closes without
  // one; an answer that ends in kClose closes behind it.
  using Script = std::function<std::string(const std::string& request, int nth_on_connection)>;
  static constexpr std::string_view kClose = "<close>";

  explicit TestUpstream(Script script)
      : TestUpstream(
            std::move(script),
            runtime::listen_tcp(runtime::numeric_address("127.0.0.1", 0).value()).value()) {}
  TestUpstream(Script script, runtime::Fd listener)
      : script_(std::move(script)), listener_(std::move(listener)) {
    const int flags = ::fcntl(listener_.get(), F_GETFL);
    ::fcntl(listener_.get(), F_SETFL, flags & ~O_NONBLOCK);
    port_ = runtime::bound_address(listener_).value().port();
    acceptor_ = std::thread([this] { accept(); });
  }
  ~TestUpstream() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept() {
    while (true) {
      const int fd = ::accept(listener_.get(), nullptr, nullptr);
      if (fd < 0) return;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string in;
    for (int nth = 0;; ++nth) {
      const std::string request = next(fd, in);
      if (request.empty()) break;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      std::string answer = script_(request, nth);
      const bool close = answer.empty() || answer.ends_with(kClose);
      if (answer.ends_with(kClose)) answer.resize(answer.size() - kClose.size());
      for (std::size_t at = 0; at < answer.size();) {
        const ssize_t n = ::send(fd, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += static_cast<std::size_t>(n);
      }
      if (close) break;
    }
    const std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    ::close(fd);
  }

  static std::string next(int fd, std::string& in) {
    std::size_t head = 0;
    while ((head = in.find("\r\n\r\n")) == std::string::npos) {
      if (!more(fd, in)) return "";
    }
    head += 4;
    std::size_t end = head;
    if (const auto at = in.find("Content-Length: "); at < head) {
      end = head + std::stoul(in.substr(at + 16));
      while (in.size() < end) {
        if (!more(fd, in)) return "";
      }
    } else if (in.find("Transfer-Encoding: chunked") < head) {
      while ((end = in.find("0\r\n\r\n", head)) == std::string::npos) {
        if (!more(fd, in)) return "";
      }
      end += 5;
    }
    std::string request = in.substr(0, end);
    in.erase(0, end);
    return request;
  }

  static bool more(int fd, std::string& in) {
    char buffer[65536];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    in.append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  Script script_;
  runtime::Fd listener_;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<int> open_;
  std::vector<std::string> requests_;
};

}  // namespace domicile::gateway
