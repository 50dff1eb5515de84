#include "app/local_ports.h"

#include <cstddef>
#include <cstring>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace domicile::app {

PortClaims::~PortClaims() {
  for (const auto& [port, fd] : held_) ::close(fd);
}

bool PortClaims::claim(std::uint16_t port) {
  if (held_.contains(port)) return true;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;  // no way to tell: the port itself will
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("domicile-up-port-{}", port);
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // the first byte stays 0: abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    ::close(fd);
    return false;
  }
  held_[port] = fd;
  return true;
}

bool port_is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  // As servers do: connections that are closing down do not hold a port.
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                    ::listen(fd, 1) == 0;
  ::close(fd);
  return free;
}

Result<std::uint16_t> choose_port(std::uint16_t wanted, std::set<std::uint16_t>& taken,
                                  PortClaims& claims) {
  constexpr unsigned kEphemeral = 32768;  // above it, an outgoing connection may sit on the port
  for (unsigned port = wanted; port < wanted + 2000u && port < 65536; ++port) {
    if (port >= kEphemeral && port != wanted) break;
    const auto candidate = static_cast<std::uint16_t>(port);
    if (taken.contains(candidate) || !port_is_free(candidate) || !claims.claim(candidate)) continue;
    taken.insert(candidate);
    return candidate;
  }
  return fail(
      Code::unavailable,
      fmt::format("no free port from {} on; give another one in the regions' file", wanted));
}

}  // namespace domicile::app
