#include "app/local_ports.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace domicile::app {
namespace {

constexpr std::uint16_t kStart = 21500;  // a quiet corner

TEST(LocalPorts, NeverGivesOnePortTwice) {
  std::set<std::uint16_t> taken;
  PortClaims claims;
  const auto first = choose_port(kStart, taken, claims);
  const auto second = choose_port(kStart, taken, claims);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
}

TEST(LocalPorts, SeesWhatAnotherSetUpHasClaimedButNotOpenedYet) {
  std::set<std::uint16_t> mine, others;
  PortClaims my_claims;
  const auto first = choose_port(kStart, mine, my_claims);
  ASSERT_TRUE(first);
  EXPECT_TRUE(port_is_free(*first));
  {
    PortClaims other_claims;
    const auto second = choose_port(*first, others, other_claims);
    ASSERT_TRUE(second);
    EXPECT_NE(*first, *second);
  }
}

TEST(LocalPorts, PassesByWhatSomebodyListensOn) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::uint16_t port = ntohs(address.sin_port);
  EXPECT_FALSE(port_is_free(port));
  ::close(fd);
  EXPECT_TRUE(port_is_free(port));
}

}  // namespace
}  // namespace domicile::app
