#include "http/html.h"

#include <gtest/gtest.h>

namespace domicile::http {
namespace {

TEST(Html, NothingOfAStrangersNameIsMarkup) {
  EXPECT_EQ(escaped("<script>alert('x')</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
  EXPECT_EQ(escaped("\" onload=\"x"), "&quot; onload=&quot;x");
  EXPECT_EQ(escaped("a&b"), "a&amp;b");
}

TEST(Html, WhatHidesOrTurnsTextIsShown) {
  EXPECT_EQ(escaped("a\xe2\x80\xae"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(escaped("a\xe2\x80\x8b"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(escaped("a\x01"
                    "b\x7f"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
  EXPECT_EQ(escaped("Zürich…"), "Zürich…");
}

TEST(Html, NamesAreCutBetweenCharacters) {
  EXPECT_EQ(shortened("übung", 5), "übung");
  EXPECT_EQ(shortened("übungen", 5), "übun…");
  EXPECT_EQ(shortened("", 5), "");
}

}  // namespace
}  // namespace domicile::http
