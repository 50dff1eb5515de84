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

TEST(RevocationSet, ASignInOrAllOfItsBrowserAndNoOther) {
  auto of = [](const char* session) {
    auto out = principal(100);
    out.session = session;
    return out;
  };
  RevocationSet set;
  EXPECT_FALSE(set.covers(of("s1.f1")));
  set.add_session("s1.f1");
  EXPECT_TRUE(set.covers(of("s1.f1")));
  EXPECT_FALSE(set.covers(of("s1.f2")));
  EXPECT_FALSE(set.covers(of("s1")));
  set.add_session("s2");
  EXPECT_TRUE(set.covers(of("s2.f1")));
  EXPECT_TRUE(set.covers(of("s2")));
  EXPECT_FALSE(set.covers(of("s22.f1")));
  EXPECT_FALSE(set.covers(of("f1.s2")));
  EXPECT_FALSE(set.covers(of("")));  // services have none
  EXPECT_FALSE(set.covers(principal(100)));
}

TEST(RevocationSet, TheTokensThatCarryAGrant) {
  RevocationSet set;
  set.add_grant("g_1");
  auto with = principal(100);
  EXPECT_FALSE(set.covers(with));
  with.grants = {{"g_0", domain::OrgKey("9"), {}, 200}};
  EXPECT_FALSE(set.covers(with));
  with.grants.push_back({"g_1", domain::OrgKey("9"), {}, 200});
  EXPECT_TRUE(set.covers(with));
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
