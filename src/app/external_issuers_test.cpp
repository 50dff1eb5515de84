#include "app/external_issuers.h"

#include <gtest/gtest.h>

namespace domicile::app {
namespace {

constexpr const char* kGood = R"(
[[issuer]]
issuer = "https://login.example"
jwks_url = "https://login.example/keys"
audiences = ["app"]
organizations = ["9", "7"]
organization_claim = "/tenant/id"
roles_claim = "groups"
[issuer.roles]
Teachers = "instructor"

[[issuer]]
issuer = "https://other.example"
jwks_url = "http://127.0.0.1:8080/keys"
audiences = ["app"]
organizations = ["*"]
organization_claim = "org"
)";

std::string error_of(std::string_view text) {
  const auto out = parse_external_issuers(text, "x.toml");
  return out ? "accepted" : out.error().message;
}

TEST(ExternalIssuers, AreReadWhole) {
  const auto out = parse_external_issuers(kGood, "x.toml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_EQ(out->size(), 2u);
  EXPECT_EQ((*out)[0].organizations[0].text(), "7");
  EXPECT_EQ((*out)[0].roles.at("Teachers").text(), "instructor");
  EXPECT_EQ((*out)[0].subject_claim, "sub");
  EXPECT_TRUE((*out)[1].any_organization);
}

TEST(ExternalIssuers, EveryErrorIsToldAtOnceWithItsLine) {
  const std::string text = R"([[issuer]]
issuer = "https://login.example"
jwks_url = "http://login.example/keys"
audiences = []
organizations = ["*", "7"]
colour = "red"
)";
  const std::string error = error_of(text);
  for (const char* part : {"x.toml:3: jwks_url: must be https", "x.toml:4: audiences is a list",
                           "x.toml:5: organizations: \"*\" stands alone",
                           "x.toml:6: unknown key 'colour'", "organization_claim is missing"})
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
}

TEST(ExternalIssuers, NobodyIsTrustedForOrganizationsThatAreNotNamed) {
  EXPECT_NE(error_of("[[issuer]]\nissuer = \"https://a\"\njwks_url = \"https://a/k\"\n"
                     "audiences = [\"x\"]\norganization_claim = \"o\"\n")
                .find("organizations is a list"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(kGood) + kGood).find("twice"), std::string::npos);
  EXPECT_NE(error_of("issuer = 1").find("[[issuer]]"), std::string::npos);
  EXPECT_NE(error_of("[[issuer").find("x.toml:1"), std::string::npos);
}

}  // namespace
}  // namespace domicile::app
