#include "app/roles_file.h"

#include <gtest/gtest.h>

namespace domicile::app {
namespace {

TEST(RolesFile, GivesEachRoleItsPermissions) {
  const auto book =
      parse_roles_file("[roles]\nlearner = [\"courses:read\"]\nnobody = []\n", "roles.toml");
  ASSERT_TRUE(book) << book.error().message;
  const domain::RoleName learner[] = {domain::RoleName("learner"), domain::RoleName("unheard-of")};
  EXPECT_EQ(book->permissions(learner, {}), std::vector{domain::Permission("courses:read")});
  EXPECT_TRUE(book->knows(domain::RoleName("nobody")));
}

TEST(RolesFile, ReportsEveryErrorWithItsLine) {
  const auto book = parse_roles_file(
      "[roles]\nBad = [\"a:b\"]\nworse = \"a:b\"\nx = [\"a\", 7]\n[other]\n", "r.toml");
  ASSERT_FALSE(book);
  for (const char* line : {"r.toml:2:", "r.toml:3:", "r.toml:4:", "r.toml:5:"}) {
    EXPECT_NE(book.error().message.find(line), std::string::npos) << line << "\n"
                                                                  << book.error().message;
  }
  EXPECT_FALSE(parse_roles_file("", "r.toml"));
  EXPECT_FALSE(parse_roles_file("[roles", "r.toml"));
}

TEST(RolesFile, WithoutOneThereAreBuiltInRoles) {
  EXPECT_TRUE(load_roles_file("")->knows(domain::RoleName("admin")));
  EXPECT_EQ(load_roles_file("/nowhere/roles.toml").error().code, Code::not_found);
}

}  // namespace
}  // namespace domicile::app
