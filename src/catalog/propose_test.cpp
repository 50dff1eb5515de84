#include "catalog/propose.h"

#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/schema_builder.h"

namespace domicile::catalog {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing_support::make_schema;

Proposal proposed(const Schema& schema, const FactsByTable& facts = {},
                  const Catalog* existing = nullptr) {
  auto proposal = propose(schema, facts, existing);
  EXPECT_TRUE(proposal) << proposal.error().message;
  if (!proposal) return {};
  EXPECT_EQ(to_string(validate(proposal->catalog), "proposal"), "");
  return *std::move(proposal);
}

const Table& table(const Proposal& proposal, const std::string& name) {
  const Table* found = proposal.catalog.find({"public", name});
  EXPECT_NE(found, nullptr) << name;
  static const Table kNone;
  return found == nullptr ? kNone : *found;
}

Facts seen(std::string way, std::int64_t rows, std::int64_t nulls = 0, std::int64_t orphans = 0) {
  Facts facts;
  facts.way = std::move(way);
  facts.sampled_rows = rows;
  facts.null_keys = nulls;
  facts.orphans = orphans;
  return facts;
}

const std::vector<std::string> kBase = {
    "organizations: id pk, slug:text! unique", "courses: id pk, organization_id! -> organizations",
    "lessons: id pk, course_id! -> courses", "quizzes: id pk, organization_id! -> organizations"};

std::vector<std::string> base_and(std::vector<std::string> more) {
  more.insert(more.end(), kBase.begin(), kBase.end());
  return more;
}

TEST(Propose, FollowsTheShortestPathThatMustBeThere) {
  const auto p =
      proposed(make_schema(base_and({"pages: id pk, lesson_id! -> lessons, quiz_id -> quizzes"})));
  EXPECT_EQ(table(p, "courses").key, "organization_id");
  EXPECT_EQ(table(p, "courses").proposed, Confidence::certain);
  ASSERT_EQ(table(p, "pages").path.size(), 2u);
  EXPECT_EQ(to_string(table(p, "pages").path[0]), "lesson_id -> public.lessons");
}

TEST(Propose, ATableThatNothingExplainsIsAQuestionAndNeverReference) {
  const auto p =
      proposed(make_schema(base_and({"things: id pk, x:text", "blobs: id pk, title:text",
                                     "uses: id pk, blob_id! -> blobs, course_id! -> courses"})));
  EXPECT_TRUE(table(p, "things").open_question());
  EXPECT_TRUE(table(p, "blobs").open_question());
  EXPECT_NE(table(p, "blobs").table_class, TableClass::reference);
}

TEST(Propose, AListNeedsPositiveEvidenceToBeReference) {
  const auto p = proposed(
      make_schema(base_and({"countries: code:text pk, name:text!",
                            "course_countries: course_id! -> courses, code:text! -> countries"})));
  EXPECT_EQ(table(p, "countries").table_class, TableClass::reference);
}

TEST(Propose, RowsUsedByOneOrganizationEachAreNoReferenceData) {
  auto tables = base_and({"kinds: id:integer pk, code:text unique, name:text",
                          "k: id pk, kind_id:integer! -> kinds, course_id! -> courses"});
  FactsByTable facts;
  Facts& kinds = facts[{"public", "kinds"}];
  kinds.used_rows = 50;
  kinds.organizations = 10;
  kinds.used_by_several = 0;
  const auto alone = proposed(make_schema(tables), facts);
  EXPECT_NE(table(alone, "kinds").table_class, TableClass::reference);
  kinds.used_by_several = 40;
  const auto shared = proposed(make_schema(tables), facts);
  EXPECT_EQ(table(shared, "kinds").table_class, TableClass::reference);
}

TEST(Propose, AKeyThatMayBeNullIsJudgedByItsRows) {
  const auto tables = base_and({"templates: id pk, organization_id -> organizations, title:text"});
  const QualifiedName name{"public", "templates"};
  EXPECT_EQ(table(proposed(make_schema(tables)), "templates").table_class, TableClass::mixed);
  const auto filled = proposed(make_schema(tables), {{name, seen("organization_id", 500)}});
  EXPECT_EQ(table(filled, "templates").table_class, TableClass::organization);
  EXPECT_EQ(table(filled, "templates").proposed, Confidence::likely);
  const auto shared = proposed(make_schema(tables), {{name, seen("organization_id", 500, 30)}});
  EXPECT_EQ(table(shared, "templates").table_class, TableClass::mixed);
  EXPECT_EQ(table(shared, "templates").proposed, Confidence::likely);
}

TEST(Propose, PersonalRowsWithoutAnOrganizationAreNeverTakenForSharedRows) {
  const auto p = proposed(
      make_schema(base_and({"contacts: id pk, organization_id -> organizations, email:text"})),
      {{{"public", "contacts"}, seen("organization_id", 100, 10)}});
  EXPECT_TRUE(table(p, "contacts").open_question());
  EXPECT_EQ(table(p, "contacts").table_class, TableClass::organization);
}

TEST(Propose, ANameStandsForAForeignKeyUntilTheRowsRefuteIt) {
  const auto tables = base_and({"marks: id pk, lesson_id!"});
  const std::string way =
      "lesson_id -> public.lessons (id), course_id -> public.courses (id), organization_id";
  EXPECT_EQ(table(proposed(make_schema(tables)), "marks").proposed, Confidence::likely);
  EXPECT_EQ(table(proposed(make_schema(tables), {{{"public", "marks"}, seen(way, 100)}}), "marks")
                .proposed,
            Confidence::certain);
  const auto refuted =
      proposed(make_schema(tables), {{{"public", "marks"}, seen(way, 100, 0, 90)}});
  EXPECT_TRUE(table(refuted, "marks").path.empty());
  EXPECT_TRUE(table(refuted, "marks").open_question());
}

TEST(Propose, TwoOrganizationsInOneRowAreSaid) {
  const auto p =
      proposed(make_schema(base_and({"transfers: id pk, from_organization_id! -> organizations, "
                                     "to_organization_id! -> organizations"})));
  EXPECT_TRUE(table(p, "transfers").open_question());
  Facts facts = seen("organization_id", 100);
  facts.rows_of_two_organizations = 7;
  facts.second_way = "x";
  const auto rows = proposed(
      make_schema(
          base_and({"links: id pk, organization_id! -> organizations, course_id! -> courses"})),
      {{{"public", "links"}, facts}});
  EXPECT_THAT(rows.findings, Contains(Field(&Finding::kind, "two_organizations")));
}

TEST(Propose, PolymorphicRowsNeedAKeyOfTheirOwn) {
  const auto p = proposed(
      make_schema(base_and({"comments: id pk, target_type:text!, target_id!, body:text"})));
  EXPECT_TRUE(table(p, "comments").open_question());
  EXPECT_THAT(p.findings, Contains(Field(&Finding::kind, "polymorphic")));
}

TEST(Propose, ACreatorDoesNotMakeAListOrganizationData) {
  const auto p = proposed(make_schema(
      base_and({"users: id pk, organization_id! -> organizations, email:text",
                "currencies: code:text pk, name:text, created_by -> users",
                "prices: id pk, course_id! -> courses, currency:text! -> currencies"})));
  EXPECT_EQ(table(p, "currencies").table_class, TableClass::reference);
  ASSERT_EQ(table(p, "currencies").links.size(), 1u);
  EXPECT_EQ(table(p, "currencies").links[0].rule, LinkRule::drop);
}

TEST(Propose, PeopleOfSeveralOrganizationsAreAClassOfTheirOwn) {
  const auto p = proposed(
      make_schema(base_and({"users: id pk, email:text!, password_hash:text",
                            "members: id pk, organization_id! -> organizations, user_id! -> users",
                            "sessions: id pk, user_id! -> users, ip:inet"})));
  EXPECT_EQ(table(p, "users").table_class, TableClass::person);
  EXPECT_EQ(table(p, "sessions").table_class, TableClass::person);
  EXPECT_EQ(table(p, "sessions").person, "user_id");
  EXPECT_EQ(table(p, "members").person, "user_id");
  EXPECT_EQ(table(p, "members").table_class, TableClass::organization);
}

TEST(Propose, APersonsDecisionIsKeptAndIsTheGroundForTheRest) {
  const Schema schema = make_schema(base_and(
      {"banks: id pk, organization_id -> organizations", "items: id pk, bank_id! -> banks"}));
  Catalog existing = proposed(schema).catalog;
  EXPECT_EQ(existing.find({"public", "items"})->table_class, TableClass::mixed);
  Table* banks = existing.find({"public", "banks"});
  banks->proposed.reset();
  banks->table_class = TableClass::organization;
  banks->note = "decided";
  const auto again = proposed(schema, {}, &existing);
  EXPECT_EQ(table(again, "banks").note, "decided");
  EXPECT_TRUE(table(again, "banks").decided_by_person());
  EXPECT_EQ(table(again, "items").table_class, TableClass::organization);
  existing.find({"public", "banks"})->table_class = TableClass::ignored;
  existing.find({"public", "banks"})->key.clear();
  existing.find({"public", "banks"})->reason = "gone soon";
  EXPECT_TRUE(table(proposed(schema, {}, &existing), "items").path.empty());
}

TEST(Propose, SaysWhatIsMissingWhenThereIsNoRoot) {
  const auto none = propose(make_schema({"a: id pk", "b: id pk"}), {}, nullptr);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("--root"));
  EXPECT_TRUE(propose(make_schema({"a: id pk", "b: id pk, a_id! -> a"}), {}, nullptr,
                      {.root = QualifiedName{"public", "a"}, .key_column = ""}));
}

// Random schemas and random facts: whatever comes, the proposal is a valid catalog, it survives
// writing and reading, a second scan changes nothing, and nothing with a NOT NULL way to an
// organization is reference.
TEST(Propose, HoldsItsPromisesOnRandomSchemas) {
  std::mt19937 random(7);
  const std::vector<std::string> nouns = {"users", "courses", "countries", "order_types",
                                          "files", "logs",    "teams",     "plans",
                                          "notes", "items",   "codes",     "accounts"};
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> tables = {"organizations: id pk, slug:text unique",
                                       "anchors: id pk, organization_id! -> organizations"};
    std::vector<std::string> names = {"organizations"};
    const int count = 2 + pick(14);
    for (int i = 0; i < count; ++i) {
      const std::string name = fmt::format("{}{}", nouns[static_cast<std::size_t>(pick(12))], i);
      std::string text = name + ": id pk";
      for (int k = pick(4); k > 0; --k) {
        const std::string& parent =
            names[static_cast<std::size_t>(pick(static_cast<int>(names.size())))];
        text += fmt::format(", {}_{}{} -> {}", pick(4) == 0 ? "created_by" : parent + "_id", k,
                            pick(2) == 0 ? "!" : "", parent);
      }
      if (pick(3) == 0) text += ", organization_id -> organizations";
      if (pick(3) == 0) text += ", email:text";
      if (pick(4) == 0) text += ", thing_type:text, thing_id";
      tables.push_back(text);
      names.push_back(name);
    }
    const Schema schema = make_schema(tables);
    const auto first = proposed(schema);
    FactsByTable facts;
    for (const Probe& probe : first.probes) {
      if (!probe.ways.empty() && pick(2) == 0)
        facts[probe.table] = seen(to_string(probe.ways[0]), 50, pick(3) * 10, pick(3) * 20);
    }
    const auto second = proposed(schema, facts);
    auto read = parse_catalog(to_toml(second.catalog), "round");
    ASSERT_TRUE(read) << read.error().message << to_toml(second.catalog);
    EXPECT_EQ(to_toml(*read), to_toml(second.catalog));
    const auto third = proposed(schema, facts, &*read);
    EXPECT_EQ(to_toml(third.catalog), to_toml(second.catalog)) << "round " << round;
    for (const TableShape& shape : schema.tables) {
      for (const ForeignKey& key : shape.foreign_keys) {
        const bool strong = key.references.name == "organizations" &&
                            shape.column(key.columns[0])->not_null &&
                            !key.columns[0].starts_with("created_by");
        if (strong)
          EXPECT_NE(second.catalog.find(shape.name)->table_class, TableClass::reference)
              << to_string(shape.name);
      }
    }
  }
}

}  // namespace
}  // namespace domicile::catalog
