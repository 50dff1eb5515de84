// A blocking socket that sends raw bytes and reads answers, for tests of the doors.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "runtime/socket.h"

namespace domicile::http {

class TestClient {
 public:
  explicit TestClient(std::uint16_t port) {
    const auto address = runtime::numeric_address("127.0.0.1", port).value();
    fd_ = runtime::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd_.get(), address.get(), address.size) != 0) {
      throw std::runtime_error("cannot connect");
    }
    runtime::set_no_delay(fd_);
  }

  TestClient& send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return *this;
  }
  void half_close() { ::shutdown(fd_.get(), SHUT_WR); }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd_.reset();
  }
  int fd() const { return fd_.get(); }

  // One answer with Content-Length (or none); interim answers are answers of their own.
  std::string answer(bool head_only = false) {
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return std::exchange(in_, {}) + "<closed>";
    }
    end += 4;
    std::size_t length = 0;
    const std::size_t at = in_.find("Content-Length: ");
    if (!head_only && at < end) length = std::stoul(in_.substr(at + 16));
    while (in_.size() < end + length) {
      if (!more()) return std::exchange(in_, {}) + "<closed>";
    }
    std::string out = in_.substr(0, end + length);
    in_.erase(0, end + length);
    return out;
  }
  // Exactly so many; less when the connection ends before.
  std::string bytes(std::size_t count) {
    while (in_.size() < count && more()) {
    }
    std::string out = in_.substr(0, count);
    in_.erase(0, out.size());
    return out;
  }
  std::string until_closed() {
    while (more()) {
    }
    return std::exchange(in_, {});
  }
  bool closed() { return in_.empty() && !more(); }

 private:
  bool more() {
    pollfd poller{fd_.get(), POLLIN, 0};
    if (::poll(&poller, 1, 60'000) <= 0) throw std::runtime_error("no answer in 60 s: " + in_);
    char buffer[65536];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    in_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  runtime::Fd fd_;
  std::string in_;
};

inline int status_of(std::string_view answer) {
  return answer.size() < 12 ? 0 : std::stoi(std::string(answer.substr(9, 3)));
}
inline std::string body_of(std::string_view answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string_view::npos ? "" : std::string(answer.substr(end + 4));
}

}  // namespace domicile::http
