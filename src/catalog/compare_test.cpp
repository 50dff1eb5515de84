#include "catalog/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/merge.h"
#include "catalog/schema_builder.h"

namespace domicile::catalog {
namespace {

using testing::HasSubstr;
using testing_support::make_schema;

const std::vector<std::string> kTables = {
    "organizations: id pk, slug:text! unique",
    "courses: id pk, organization_id! indexed -> organizations, author:text",
    "lessons: id pk, course_id! -> courses",
    "countries: code:text pk, name:text, created_by -> courses"};

constexpr std::string_view kCatalog = R"toml(# ours
[catalog]
version = 1
key_type = "bigint"
root = "public.organizations"

# lists
[[table]]
name = "public.countries"
class = "reference"
links = { created_by = "drop" }

[[table]]
name = "public.courses"
class = "organization"
key = "organization_id"
mode = "enforce"
personal = { author = "name" }

[[table]]
name = "public.lessons"
class = "organization"
path = ["course_id -> public.courses"]
proposed = "likely"

[[table]]
name = "public.organizations"
class = "organization"
key = "id"
)toml";

Catalog read(std::string_view text = kCatalog) {
  auto catalog = parse_catalog(text, "c");
  EXPECT_TRUE(catalog) << catalog.error().message;
  return catalog ? *std::move(catalog) : Catalog{};
}

// The kinds of errors and warnings, for short.
std::vector<std::string> kinds(const Catalog& catalog, const Schema& schema) {
  std::vector<std::string> out;
  for (const Finding& finding : compare(catalog, schema)) {
    if (finding.severity != Severity::note) out.push_back(finding.table.name + " " + finding.kind);
  }
  return out;
}

std::vector<std::string> with(std::size_t at, const std::string& text) {
  auto tables = kTables;
  tables[at] = text;
  return tables;
}

TEST(Compare, FindsNothingWhereTheyAgree) {
  EXPECT_THAT(kinds(read(), make_schema(kTables)), testing::IsEmpty());
}

TEST(Compare, FindsEachDifference) {
  using V = std::vector<std::string>;
  auto more = kTables;
  more.push_back("extras: id pk");
  EXPECT_EQ(kinds(read(), make_schema(more)), V{"extras unclassified_table"});
  EXPECT_EQ(kinds(read(), make_schema({kTables[0], kTables[1], kTables[3]})),
            V{"lessons missing_table"});
  EXPECT_EQ(kinds(read(), make_schema(with(
                              1, "courses: id pk, org! indexed -> organizations, author:text"))),
            V{"courses key_column_missing"});
  EXPECT_EQ(kinds(read(), make_schema(with(
                              1, "courses: id pk, organization_id:uuid! indexed, author:text"))),
            V{"courses key_column_type"});
  EXPECT_EQ(kinds(read(),
                  make_schema(with(
                      1, "courses: id pk, organization_id indexed -> organizations, author:text"))),
            V{"courses nullable_key"});
  EXPECT_EQ(
      kinds(read(),
            make_schema(with(1, "courses: id pk, organization_id! -> organizations, author:text"))),
      V{"courses key_without_index"});
  EXPECT_EQ(kinds(read(), make_schema(with(
                              1, "courses: id pk, organization_id! indexed -> organizations"))),
            V{"courses personal_column_missing"});
  EXPECT_EQ(kinds(read(), make_schema(with(2, "lessons: id pk, module_id!"))),
            V{"lessons path_broken"});
  EXPECT_EQ(kinds(read(), make_schema(with(2, "lessons: id pk, course_id!"))),
            V{"lessons path_undeclared"});
  EXPECT_EQ(kinds(read(), make_schema(with(2, "lessons: id pk, course_id -> courses"))),
            V{"lessons nullable_path"});
  EXPECT_EQ(kinds(read(), make_schema(with(
                              3, "countries: code:text pk, name:text, created_by! -> courses"))),
            V{"countries link_not_null"});
  EXPECT_EQ(
      kinds(
          read(),
          make_schema(with(
              3,
              "countries: code:text pk, name:text, created_by -> courses, home -> organizations"))),
      V{"countries link_without_rule"});
}

TEST(Compare, APlannedTableMayBeAbsentAndAnOpenQuestionFails) {
  std::string planned(kCatalog);
  planned += "[[table]]\nname = \"public.soon\"\nclass = \"system\"\nplanned = true\n";
  EXPECT_THAT(kinds(read(planned), make_schema(kTables)), testing::IsEmpty());
  std::string open(kCatalog);
  open.replace(open.find("\"likely\""), 8, "\"unsure\"");
  EXPECT_EQ(kinds(read(open), make_schema(kTables)),
            std::vector<std::string>{"lessons open_question"});
}

TEST(Compare, APartitionHasItsRootsClass) {
  Schema schema = make_schema(kTables);
  TableShape part = *schema.find({"public", "courses"});
  part.name.name = "courses_1";
  part.relation = Relation::partition;
  part.parent = {"public", "courses"};
  schema.tables.push_back(part);
  std::ranges::sort(schema.tables, {}, &TableShape::name);
  EXPECT_THAT(kinds(read(), schema), testing::IsEmpty());
  const std::string other =
      std::string(kCatalog) + "[[table]]\nname = \"public.courses_1\"\nclass = \"system\"\n";
  EXPECT_EQ(kinds(read(other), schema), std::vector<std::string>{"courses_1 partition_class"});
}

TEST(Merge, KeepsEverySectionThatSaysTheSame) {
  const Catalog before = read();
  auto same = merge_into(kCatalog, before, before);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(*same, kCatalog);
}

TEST(Merge, ReplacesAddsAndRemovesSectionsAndKeepsComments) {
  const Catalog before = read();
  Catalog after = before;
  after.find({"public", "lessons"})->proposed = Confidence::certain;
  Table added;
  added.name = {"public", "extras"};
  added.proposed = Confidence::likely;
  after.put(added);
  std::erase_if(after.tables, [](const Table& t) { return t.name.name == "countries"; });
  auto merged = merge_into(kCatalog, before, after);
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_THAT(*merged, HasSubstr("# ours\n[catalog]"));
  EXPECT_THAT(*merged,
              HasSubstr("personal = { author = \"name\" }\n\n[[table]]\nname = \"public.extras\""));
  EXPECT_EQ(merged->find("countries"), std::string::npos);
  EXPECT_EQ(to_toml(read(*merged)), to_toml(after));
}

TEST(Merge, RefusesALayoutThatItCannotFollow) {
  const std::string inlined =
      "table = [{ name = \"a.b\", class = \"system\" }, { name = \"a.c\", class = \"system\" "
      "}]\n[catalog]\nversion = 1\nkey_type = \"text\"\n";
  const Catalog before = read(inlined);
  Catalog after = before;
  after.find({"a", "b"})->note = "x";
  const auto merged = merge_into(inlined, before, after);
  ASSERT_FALSE(merged);
  EXPECT_THAT(merged.error().message, HasSubstr("layout"));
}

}  // namespace
}  // namespace domicile::catalog
