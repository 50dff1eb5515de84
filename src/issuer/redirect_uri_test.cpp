#include "issuer/redirect_uri.h"

#include <gtest/gtest.h>

namespace domicile::issuer {
namespace {

TEST(RedirectUri, WhatMayBeRegistered) {
  for (const char* good :
       {"https://app.example.com/done", "https://app.example.com", "http://127.0.0.1/cb",
        "http://[::1]:8080/cb", "http://localhost:3000/cb", "com.example.app:/done"}) {
    EXPECT_TRUE(check_redirect_uri(good)) << good;
  }
  for (const char* bad :
       {"", "http://app.example.com/done", "https://", "https:/done", "javascript:alert(1)",
        "data:text/html,x", "https://app.example.com/#x", "https://*.example.com/",
        "https://u@app.example.com/", "https://a b/", "/done", "myapp:/done", "https://a\\b/",
        "http://127.0.0.1.evil.test/", "http://localhost.evil.test/"}) {
    EXPECT_FALSE(check_redirect_uri(bad)) << bad;
  }
}

TEST(RedirectUri, IsComparedAsAWhole) {
  const std::vector<std::string> known = {"https://app.test/done?x=1", "http://127.0.0.1/cb"};
  EXPECT_TRUE(is_registered(known, "https://app.test/done?x=1"));
  EXPECT_TRUE(is_registered(known, "http://127.0.0.1:49152/cb"));  // RFC 8252 section 7.3
  for (const char* other :
       {"https://app.test/done", "https://app.test/done?x=1&y", "https://app.test:444/done?x=1",
        "http://127.0.0.1:49152/cb/x", "http://127.0.0.1@evil.test/cb", "http://127.0.0.1:8x/cb",
        "http://127.0.0.1:8080@evil.test/cb", "https://127.0.0.1:1/cb", "http://localhost/cb"}) {
    EXPECT_FALSE(is_registered(known, other)) << other;
  }
}

TEST(RedirectUri, ParametersAreAddedToWhatIsThere) {
  EXPECT_EQ(with_parameters("https://a/b", {{"code", "x y&"}, {"state", "1"}}),
            "https://a/b?code=x%20y%26&state=1");
  EXPECT_EQ(with_parameters("https://a/b?c=d", {{"code", "x"}}), "https://a/b?c=d&code=x");
}

TEST(RedirectUri, APolicyNamesItsSource) {
  EXPECT_EQ(source_of("https://app.test:8443/done?x"), "https://app.test:8443");
  EXPECT_EQ(source_of("com.example.app:/done"), "com.example.app:");
}

}  // namespace
}  // namespace domicile::issuer
