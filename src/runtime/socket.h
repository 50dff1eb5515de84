// TCP sockets, non-blocking and close-on-exec from birth, with Nagle's delay off. Addresses are
// numeric here; resolve() is the one function that asks the system's resolver and blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/result.h"
#include "runtime/fd.h"

namespace domicile::runtime {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::string ip() const;  // without port; IPv4-mapped IPv6 shown as IPv4
  std::uint16_t port() const;
  std::string text() const;  // "127.0.0.1:80", "[::1]:80"
};

Result<Address> numeric_address(const std::string& ip, std::uint16_t port);
// Every address of a name, in the resolver's order. Blocks: never on a loop.
Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port);

// `shared`: with SO_REUSEPORT, so that several loops share one port, each with its own queue.
enum class Port { alone, shared };
// Code::unavailable, reason "port_in_use" when somebody has the port.
Result<Fd> listen_tcp(const Address& address, Port port = Port::alone);
// Lets further sockets listen beside this one. It must have been taken alone: whoever asks for the
// port alone is refused before, meanwhile and after, so that two programs that begin this way never
// share a port, however close together they start.
Result<void> share_port(const Fd& listener);
// The kernel answers no new SYN for this socket; connections that it has begun still come up and are
// accepted. Clients that try again find who listens next. False where the kernel cannot do that.
bool stop_new_connections(const Fd& listener);
Result<Address> bound_address(const Fd& fd);
// Starts connecting; the socket becomes writable when it is decided.
Result<Fd> connect_tcp(const Address& address);
int pending_error(const Fd& fd);  // SO_ERROR
void set_no_delay(const Fd& fd);

}  // namespace domicile::runtime
