#include "runtime/socket.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/tcp.h>

namespace domicile::runtime {
namespace {

std::string why(int error) { return std::generic_category().message(error); }

constexpr int kBacklog = 4096;

}  // namespace

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
  }
  return text;
}

std::uint16_t Address::port() const {
  if (storage.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
}

std::string Address::text() const {
  const std::string host = ip();
  return host.contains(':') ? fmt::format("[{}]:{}", host, port())
                            : fmt::format("{}:{}", host, port());
}

Result<Address> numeric_address(const std::string& ip, std::uint16_t port) {
  Address address;
  if (auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
      inet_pton(AF_INET, ip.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof(sockaddr_in);
    return address;
  }
  if (auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
      inet_pton(AF_INET6, ip.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
    return address;
  }
  return fail(Code::invalid,
              fmt::format("address {:?}: give a numeric IPv4 or IPv6 address, such as 127.0.0.1, "
                          "0.0.0.0 or ::",
                          ip));
}

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(Code::unavailable,
                fmt::format("cannot resolve {:?}: {}", host, ::gai_strerror(error)));
  }
  std::vector<Address> addresses;
  for (const addrinfo* i = found; i != nullptr; i = i->ai_next) {
    Address& address = addresses.emplace_back();
    std::memcpy(&address.storage, i->ai_addr, i->ai_addrlen);
    address.size = i->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return addresses;
}

Result<Fd> listen_tcp(const Address& address, Port port) {
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail(Code::unavailable, "socket: " + why(errno));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (port == Port::shared) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(fd.get(), address.get(), address.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    const char* remedy = error == EADDRINUSE      ? "; another program has it: choose another port"
                         : error == EACCES        ? "; ports below 1024 need CAP_NET_BIND_SERVICE"
                         : error == EADDRNOTAVAIL ? "; this machine does not have that address"
                                                  : "";
    return fail(Code::unavailable,
                fmt::format("cannot listen on {}: {}{}", address.text(), why(error), remedy),
                error == EADDRINUSE ? "port_in_use" : "");
  }
  return fd;
}

Result<void> share_port(const Fd& listener) {
  const int on = 1;
  if (::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
    return fail(Code::unavailable, "SO_REUSEPORT: " + why(errno));
  }
  return {};
}

// The filter sees a segment from its TCP header on; byte 13 holds the flags.
bool stop_new_connections(const Fd& listener) {
  constexpr std::uint32_t kSyn = 0x02, kSynOrAck = 0x12, kWhole = 0xffffffff;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynOrAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kWhole),
  };
  const sock_fprog filter{std::size(program), program};
  return ::setsockopt(listener.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

Result<Address> bound_address(const Fd& fd) {
  Address address;
  address.size = sizeof address.storage;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) {
    return fail(Code::internal, "getsockname: " + why(errno));
  }
  return address;
}

Result<Fd> connect_tcp(const Address& address) {
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail(Code::unavailable, "socket: " + why(errno));
  set_no_delay(fd);
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) {
    return fail(Code::unavailable,
                fmt::format("cannot connect to {}: {}", address.text(), why(errno)));
  }
  return fd;
}

int pending_error(const Fd& fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

void set_no_delay(const Fd& fd) {
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace domicile::runtime
