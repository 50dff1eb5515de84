#include "store/server_version.h"

#include <gtest/gtest.h>

namespace domicile::store {
namespace {

TEST(ServerVersion, TakesTheMinorThatClosesTheLastHole) {
  for (int version : {150018, 150019, 160014, 170010, 180004, 190000})
    EXPECT_TRUE(check_server_version(version)) << version;
}

TEST(ServerVersion, RefusesOneMinorBelowAndNamesTheHole) {
  for (int version : {150017, 160013, 170009, 180003}) {
    const auto checked = check_server_version(version);
    ASSERT_FALSE(checked) << version;
    EXPECT_EQ(checked.error().reason, "server_too_old");
    EXPECT_NE(checked.error().message.find("CVE-2026-6473"), std::string::npos);
  }
  EXPECT_NE(check_server_version(150002).error().message.find("CVE-2023-2455"), std::string::npos);
  EXPECT_EQ(check_server_version(160002).error().message.find("CVE-2023-2455"), std::string::npos);
}

TEST(ServerVersion, RefusesLinesBefore15) { EXPECT_FALSE(check_server_version(140023)); }

}  // namespace
}  // namespace domicile::store
