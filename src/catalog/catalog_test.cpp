#include "catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace domicile::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kGood = R"toml(
[catalog]
version = 1
key_type = "bigint"
root = "public.organizations"
default_mode = "observe"

[[table]]
name = "public.organizations"
class = "organization"
key = "id"

[[table]]
name = "public.lessons"
class = "organization"
path = ["course_id -> public.courses"]

[[table]]
name = "public.courses"
class = "mixed"
key = "organization_id"
mode = "enforce"
links = { created_by = "drop" }

[[table]]
name = 'public."odd.name"'
class = "person"
person = "user_id"
personal = { email = "email", "Full Name" = "name" }

[[table]]
name = "public.countries"
class = "reference"

[[table]]
name = "public.schema_migrations"
class = "system"

[[table]]
name = "public.scratch"
class = "ignored"
reason = "dropped next week"
planned = true
proposed = "likely"
why = ["its name"]
)toml";

Catalog good() {
  auto parsed = parse_catalog(kGood, "f");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return *std::move(parsed);
}

std::string errors(std::string_view text) {
  auto parsed = parse_catalog(text, "f.toml");
  return parsed ? "" : parsed.error().message;
}

std::string with_table(std::string_view keys) {
  return "[catalog]\nversion = 1\nkey_type = \"uuid\"\n[[table]]\nname = \"a.b\"\n" +
         std::string(keys);
}

TEST(Catalog, ReadsEveryKeyOfTheFile) {
  const Catalog catalog = good();
  EXPECT_EQ(catalog.key_type, domain::KeyType::bigint);
  EXPECT_THAT(catalog.schemas, ElementsAre("public"));
  const Table* lessons = catalog.find({"public", "lessons"});
  ASSERT_NE(lessons, nullptr);
  EXPECT_EQ(lessons->mode, Mode::observe);
  EXPECT_EQ(to_string(lessons->path.at(0)), "course_id -> public.courses");
  EXPECT_EQ(catalog.find({"public", "courses"})->links.at(0).rule, LinkRule::drop);
  const Table* odd = catalog.find({"public", "odd.name"});
  ASSERT_NE(odd, nullptr);
  EXPECT_EQ(odd->personal.at(0).column, "Full Name");
  EXPECT_EQ(catalog.find({"public", "schema_migrations"})->mode, Mode::off);
  EXPECT_TRUE(catalog.find({"public", "scratch"})->planned);
  EXPECT_FALSE(catalog.find({"public", "scratch"})->decided_by_person());
  EXPECT_EQ(catalog.find({"public", "absent"}), nullptr);
}

TEST(Catalog, WritesWhatItReadsAndTheSameBytesTwice) {
  const std::string once = to_toml(good());
  auto again = parse_catalog(once, "f");
  ASSERT_TRUE(again) << again.error().message << once;
  EXPECT_EQ(to_toml(*again), once);
}

TEST(Catalog, UnknownKeysAreErrorsWithTheirPlace) {
  EXPECT_THAT(errors(with_table("class = \"system\"\ncolour = 1\n")),
              HasSubstr("f.toml:7:1: table a.b: unknown key \"colour\"; known are name, class"));
}

TEST(Catalog, ListsAllProblemsOfAFileAtOnce) {
  const auto problems = problems_of(with_table(
      "class = \"organisation\"\n[[table]]\nname = \"nodot\"\nclass = \"system\"\n[[table]]\n"
      "name = \"a.c\"\nclass = \"ignored\"\n[[table]]\nname = \"a.d\"\nclass = "
      "\"organization\"\nkey = 7\n"));
  EXPECT_EQ(problems.size(), 4u) << to_string(problems, "f");
}

TEST(Catalog, RefusesCombinationsThatMeanNothing) {
  for (const auto& [keys, reason] : std::vector<std::pair<std::string, std::string>>{
           {"class = \"organization\"", "needs to know its organization"},
           {"class = \"organization\"\nkey = \"a\"\npath = [\"b -> a.b\"]",
            "a key column and a path"},
           {"class = \"reference\"\nkey = \"a\"", "has no organization key"},
           {"class = \"reference\"\npersonal = { e = \"email\" }", "cannot hold personal data"},
           {"class = \"organization\"\nkey = \"k\"\npersonal = { e = \"shoe\" }",
            "label of column e is not known"},
           {"class = \"system\"\nmode = \"enforce\"", "is not guarded"},
           {"class = \"system\"\nreason = \"x\"", "only an ignored table has a reason"},
           {"class = \"ignored\"", "needs a reason"},
           {"class = \"person\"", "needs the column that names the user"},
           {"class = \"organization\"\nproposed = \"unsure\"\nmode = \"enforce\"",
            "nothing can be enforced"},
           {"class = \"organization\"\npath = [\"x -> a.z\"]", "a.z is not in the catalog"},
           {"class = \"organization\"\npath = [\"x -> a.b\"]", "comes back to a.b"},
           {"class = \"organization\"\nkey = \"k\"\n[[table]]\nname = \"a.b\"\nclass = \"system\"",
            "stands here twice"},
       }) {
    EXPECT_THAT(errors(with_table(keys + "\n")), HasSubstr(reason)) << keys;
  }
}

TEST(Catalog, APathMustEndAtAKeyAndPassOnlyOrganizationTables) {
  const std::string head = "[catalog]\nversion=1\nkey_type=\"text\"\n";
  const auto table = [](std::string name, std::string rest) {
    return "[[table]]\nname=\"s." + name + "\"\n" + rest + "\n";
  };
  EXPECT_THAT(errors(head + table("a", "class=\"organization\"\npath=[\"b -> s.b\"]") +
                     table("b", "class=\"reference\"")),
              HasSubstr("s.b is of class reference"));
  EXPECT_THAT(errors(head + table("a", "class=\"organization\"\npath=[\"b -> s.b\"]") +
                     table("b", "class=\"organization\"\npath=[\"c -> s.c\"]") +
                     table("c", "class=\"organization\"\nkey=\"k\"")),
              HasSubstr("ends at s.b, which has no key column of its own; continue it"));
}

TEST(PathStep, RoundTripsCompositeAndOddNames) {
  for (const char* text : {"course_id -> public.courses", "(org_id, course_id) -> s.t (org, id)",
                           "\"a,b\" -> \"x.y\".\"t\"\"u\"", "a -> s.t (id)"}) {
    auto step = parse_path_step(text);
    ASSERT_TRUE(step) << text;
    auto again = parse_path_step(to_string(*step));
    ASSERT_TRUE(again) << to_string(*step);
    EXPECT_EQ(*again, *step);
  }
  for (const char* text : {"", "a", "a ->", "-> s.t", "a -> t", "(a, b) -> s.t (x)", "a -> s.t x",
                           "(a -> s.t", "a -> s. t"}) {
    EXPECT_FALSE(parse_path_step(text)) << text;
  }
}

TEST(QualifiedName, NeedsItsSchema) {
  EXPECT_EQ(to_string(*parse_qualified_name("public.User")), "public.User");
  EXPECT_EQ(to_string(*parse_qualified_name("\"a.b\".c")), "\"a.b\".c");
  for (const char* text : {"users", "a.b.c", ".b", "a.", "", "a.\"b", "a.b "}) {
    auto name = parse_qualified_name(text);
    EXPECT_EQ(bool(name), std::string_view(text) == "a.b ") << text;
  }
}

}  // namespace
}  // namespace domicile::catalog
