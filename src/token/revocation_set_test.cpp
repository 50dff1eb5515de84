#include "token/revocation_set.h"

#include <gtest/gtest.h>

namespace domicile::token {
namespace {

domain::Principal principal(std::int64_t issued_at) {
  domain::Principal out;
  out.subject = domain::UserId("u_1");
  out.organization = domain::OrgKey("7");
  out.token_id = "j1";
  out.issued_at = issued_at;
  return out;
}

TEST(RevocationSet, AnEmptyOneCoversNothing) {
  EXPECT_TRUE(RevocationSet{}.empty());
  EXPECT_FALSE(RevocationSet{}.covers(principal(100)));
}

TEST(RevocationSet, OneTokenAndNoOther) {
  RevocationSet set;
  set.add_token("j1");
  EXPECT_TRUE(set.covers(principal(100)));
  auto other = principal(100);
  other.token_id = "j2";
  EXPECT_FALSE(set.covers(other));
}

TEST(RevocationSet, AUsersTokensUpToTheMomentAndNotThoseAfter) {
  RevocationSet set;
  set.add_user("u_1", 100);
  set.add_user("u_1", 90);  // an older one takes nothing back
  EXPECT_TRUE(set.covers(principal(99)));
  EXPECT_TRUE(set.covers(principal(100)));
  EXPECT_FALSE(set.covers(principal(101)));
  auto other = principal(99);
  other.subject = domain::UserId("u_2");
  EXPECT_FALSE(set.covers(other));
}

TEST(RevocationSet, AnOrganizationIsNoUserOfTheSameName) {
  RevocationSet set;
  set.add_organization("7", 100);
  EXPECT_TRUE(set.covers(principal(100)));
  auto other = principal(100);
  other.organization = domain::OrgKey("8");
  other.subject = domain::UserId("7");
  EXPECT_FALSE(set.covers(other));
}

}  // namespace
}  // namespace domicile::token
