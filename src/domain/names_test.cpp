#include "domain/names.h"

#include <gtest/gtest.h>

namespace domicile::domain {
namespace {

TEST(OrgKey, AcceptsOnlyTheCanonicalFormOfItsType) {
  EXPECT_TRUE(parse_org_key("7", KeyType::bigint));
  EXPECT_TRUE(parse_org_key("-7", KeyType::bigint));
  for (const char* bad : {"07", "+7", "7 ", "", "9223372036854775808", "-0", "7a"}) {
    EXPECT_FALSE(parse_org_key(bad, KeyType::bigint)) << bad;
  }
  EXPECT_TRUE(parse_org_key("0b9d3f5e-8a51-4ac5-9d8c-0c54b11e1f1a", KeyType::uuid));
  EXPECT_FALSE(parse_org_key("0B9D3F5E-8A51-4AC5-9D8C-0C54B11E1F1A", KeyType::uuid));
  EXPECT_FALSE(parse_org_key("0b9d3f5e8a514ac59d8c0c54b11e1f1a", KeyType::uuid));
  EXPECT_TRUE(parse_org_key("acme.ca:1", KeyType::text));
  for (const char* bad : {"a b", "a'b", "a|b", "a\nb", "é"})
    EXPECT_FALSE(parse_org_key(bad)) << bad;
}

TEST(Names, ErrorsNeverEchoControlCharacters) {
  const auto error = parse_slug("a\nforged log line").error();
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
}

TEST(Names, PermissionsAreNounAndVerb) {
  EXPECT_TRUE(parse_permission("courses:read"));
  for (const char* bad : {"courses", ":read", "courses:", "a:b:c", "Courses:read", "a:*"}) {
    EXPECT_FALSE(parse_permission(bad)) << bad;
  }
}

}  // namespace
}  // namespace domicile::domain
