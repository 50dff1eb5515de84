#include "catalog/assignment.h"

#include <gtest/gtest.h>

namespace domicile::catalog {
namespace {

constexpr auto kBigint = domain::KeyType::bigint;

TEST(Assignment, ReadsCommasSemicolonsTabsCommentsAndAHeading) {
  const auto read = parse_assignment(
      "organization,region\n# plan\n\n7, ca-central-1\r\n8;us-east-1\n9\tus-east-1", kBigint, "f");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (Assignment{{"7", "ca-central-1"}, {"8", "us-east-1"}, {"9", "us-east-1"}}));
}

TEST(Assignment, AHeadingStandsInTheFirstLineOnly) {
  EXPECT_FALSE(parse_assignment("7,ca-central-1\norganization,region\n", kBigint, "f"));
}

TEST(Assignment, ListsEveryProblemWithItsLine) {
  const auto read = parse_assignment(
      "7,ca-central-1\nseven,us-east-1\n8\n7,us-east-1\n9,NO REGION\n", kBigint, "f");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::invalid);
  for (const char* place : {"f:2: ", "f:3: ", "f:4: ", "f:5: "})
    EXPECT_NE(read.error().message.find(place), std::string::npos) << place;
  EXPECT_NE(read.error().message.find("stands there twice"), std::string::npos);
}

TEST(Assignment, ShowsSoManyProblemsAndCountsTheRest) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "x\n";
  const auto read = parse_assignment(text, kBigint, "f");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("... and 80 more"), std::string::npos);
}

}  // namespace
}  // namespace domicile::catalog
