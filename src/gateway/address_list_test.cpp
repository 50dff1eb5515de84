#include "gateway/address_list.h"

#include <gtest/gtest.h>

namespace domicile::gateway {
namespace {

AddressList list(const std::vector<std::string>& networks) {
  auto parsed = AddressList::parse(networks);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : AddressList{};
}

TEST(AddressList, HoldsItsNetworksAndNothingElse) {
  const auto trusted = list({"10.2.0.0/15", "192.0.2.7", "2001:db8::/33", "::1"});
  for (const char* in : {"10.2.0.1", "10.3.255.255", "192.0.2.7", "2001:db8::1",
                         "2001:db8:7fff::", "::1", "::ffff:10.2.0.9"}) {
    EXPECT_TRUE(trusted.contains(in)) << in;
  }
  for (const char* out : {"10.4.0.0", "10.1.255.255", "192.0.2.8", "2001:db8:8000::", "::2",
                          "::ffff:10.4.0.9", "127.0.0.1", "", "10.2.0.1 ", "10.2.1", "host"}) {
    EXPECT_FALSE(trusted.contains(out)) << out;
  }
  EXPECT_FALSE(list({}).contains("127.0.0.1"));
  EXPECT_TRUE(list({"0.0.0.0/0"}).contains("8.8.8.8"));
  EXPECT_FALSE(list({"0.0.0.0/0"}).contains("2001:db8::1"));
}

TEST(AddressList, RefusesWhatIsNoNetworkOrASlip) {
  for (const char* bad : {"", "10.2.0.0/33", "10.2.0.1/16", "10.2.0.0/", "10.2.0.0/-1",
                          "10.2.0.0/8x", "proxy", "::/129", "2001:db8::1/32", "10.2.0.0 /16"}) {
    EXPECT_FALSE(AddressList::parse({bad})) << bad;
  }
}

}  // namespace
}  // namespace domicile::gateway
