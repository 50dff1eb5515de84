#include "catalog/edit_mode.h"

#include <gtest/gtest.h>

namespace domicile::catalog {
namespace {

constexpr std::string_view kText = R"(# ours
[catalog]
version = 1
key_type = "bigint"
schemas = ["app"]
default_mode = "off"   # until Friday

[[table]]              # the first one
name = "app.course"
class = "organization"
key = "org_id"
mode  = 'observe' # agreed with the team

[[table]]
  name = "app.note"
  class = "organization"
  key = "org_id"
)";

TEST(EditMode, KeepsEverythingButTheMode) {
  const auto out = edit_mode(kText, "f", {{"app", "course"}, {"app", "note"}}, Mode::enforce);
  ASSERT_TRUE(out) << out.error().message;
  std::string expected(kText);
  expected.replace(expected.find("'observe'"), 9, "\"enforce\"");
  expected.replace(expected.find("  key = \"org_id\"\n", expected.find("app.note")), 0,
                   "  mode = \"enforce\"\n");
  EXPECT_EQ(*out, expected);
}

TEST(EditMode, ChangesNoByteWhereTheModeIsRight) {
  EXPECT_EQ(edit_mode(kText, "f", {{"app", "note"}}, Mode::off).value(), kText);
}

TEST(EditMode, RefusesATableThatIsNotThere) {
  EXPECT_EQ(edit_mode(kText, "f", {{"app", "x"}}, Mode::off).error().reason, "not_in_catalog");
}

TEST(EditMode, RefusesALayoutItWouldGetWrong) {
  constexpr std::string_view inline_table =
      "catalog = {version = 1, key_type = \"bigint\", schemas = [\"app\"]}\n"
      "table = [{name = \"app.course\", class = \"organization\", key = \"org_id\"}]\n";
  EXPECT_EQ(edit_mode(inline_table, "f", {{"app", "course"}}, Mode::observe).error().reason,
            "catalog_layout");
}

}  // namespace
}  // namespace domicile::catalog
