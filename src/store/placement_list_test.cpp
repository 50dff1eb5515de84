#include "store/placement_list.h"

#include <gtest/gtest.h>

namespace domicile::store {
namespace {

constexpr auto kBigint = domain::KeyType::bigint;

TEST(PlacementList, ReadsWhatItWrites) {
  PlacementList list{
      .region = domain::RegionId("ca-central-1"), .revision = 42, .organizations = {}};
  list.organizations.push_back({.key = domain::OrgKey("7"), .epoch = 3, .suspended = false});
  list.organizations.push_back({.key = domain::OrgKey("9"), .epoch = 4, .suspended = true});
  const auto read = parse_placement_list(to_json(list), kBigint);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->region, list.region);
  EXPECT_EQ(read->revision, 42u);
  ASSERT_EQ(read->organizations.size(), 2u);
  EXPECT_EQ(read->organizations[1].key.text(), "9");
  EXPECT_TRUE(read->organizations[1].suspended);
}

TEST(PlacementList, RefusesWhatIsNotExactlyAList) {
  const auto refused = [](const char* text) {
    return !parse_placement_list(text, kBigint).has_value();
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("[]"));
  EXPECT_TRUE(refused(R"({"region":"ca","revision":1})"));
  EXPECT_TRUE(refused(R"({"region":"ca","revision":1,"organizations":[],"x":1})"));
  EXPECT_TRUE(refused(R"({"region":"ca","revision":-1,"organizations":[]})"));
  EXPECT_TRUE(refused(
      R"({"region":"ca","revision":1,"organizations":[{"key":"x","epoch":1,"state":"active"}]})"));
  EXPECT_TRUE(refused(
      R"({"region":"ca","revision":1,"organizations":[{"key":"7","epoch":1,"state":"closed"}]})"));
  EXPECT_TRUE(refused(
      R"({"region":"ca","revision":1,"organizations":[{"key":"7","epoch":1,"state":"active"},{"key":"7","epoch":1,"state":"active"}]})"));
}

}  // namespace
}  // namespace domicile::store
