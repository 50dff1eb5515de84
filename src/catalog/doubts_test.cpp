// Mistakes that the scan once made on schemas it had not seen, or that would be leaks.
#include "catalog/doubts.h"

#include <gtest/gtest.h>

#include "catalog/naming.h"
#include "catalog/propose.h"
#include "catalog/schema_builder.h"

namespace domicile::catalog {
namespace {

using testing_support::make_schema;

Catalog proposed(std::vector<std::string> tables, const FactsByTable& facts = {},
                 const std::string& key = "bigint") {
  tables.push_back("organizations: id:" + key + " pk, slug:text! unique");
  tables.push_back("courses: id pk, organization_id:" + key + "! -> organizations");
  tables.push_back("quizzes: id pk, organization_id:" + key + "! -> organizations");
  auto proposal = propose(make_schema(tables), facts, nullptr);
  EXPECT_TRUE(proposal) << proposal.error().message;
  return proposal ? proposal->catalog : Catalog{};
}

const Table& of(const Catalog& catalog, const std::string& name) {
  static const Table kNone;
  const Table* found = catalog.find({"public", name});
  EXPECT_NE(found, nullptr) << name;
  return found == nullptr ? kNone : *found;
}

TEST(Doubts, ShapeAloneIsNoGroundForReference) {
  // Small, few columns, a short key, no creation time: and yet nobody says that its rows are shared.
  const auto c = proposed({"inv_hdr: inv_no:integer pk, tot:text"});
  EXPECT_NE(of(c, "inv_hdr").table_class, TableClass::reference);
}

TEST(Doubts, OneTableThatUsesItIsNoGroundForReference) {
  const auto c = proposed({"integrations: id pk, name:text!, provider:text",
                           "course_integrations: id pk, course_id! -> courses, "
                           "integration_id! -> integrations"});
  EXPECT_TRUE(of(c, "integrations").open_question());
  EXPECT_NE(of(c, "integrations").table_class, TableClass::reference);
}

TEST(Doubts, AColumnThatNamesAnUnknownRowMakesAListAQuestion) {
  const auto list = proposed({"countries: code:text pk, name:text!"});
  EXPECT_EQ(of(list, "countries").table_class, TableClass::reference);
  const auto c = proposed({"statuses: id:integer pk, name:text!, board_id!"});
  EXPECT_TRUE(of(c, "statuses").open_question());
  EXPECT_EQ(of(c, "statuses").table_class, TableClass::organization);
}

TEST(Doubts, AColumnThatSpeaksOfAnOrganizationMakesAListAQuestion) {
  const auto c = proposed({"currencies: code:text pk, name:text!, tenant_ref!"});
  EXPECT_TRUE(of(c, "currencies").open_question());
}

TEST(Doubts, WhatKeepsFormerRowsIsWhoseTheRowsWere) {
  const auto c = proposed({"courses_history: id pk, organization_id, version:text"});
  EXPECT_NE(of(c, "courses_history").table_class, TableClass::reference);
  const auto shadow = proposed({"pages: id pk, course_id! -> courses, title:text, slug:text",
                                "pages_aud: id!, rev!, title:text, slug:text"});
  EXPECT_TRUE(of(shadow, "pages_aud").open_question());
  EXPECT_EQ(of(shadow, "pages_aud").table_class, TableClass::organization);
}

TEST(Doubts, AWordOfBusinessIsNoMachinery) {
  const auto c = proposed({"tasks: id pk, title:text, estimate:text"});
  EXPECT_TRUE(of(c, "tasks").open_question());
  const auto queue = proposed({"jobs: id pk, queue:text!, payload:text!, attempts:integer!"});
  EXPECT_EQ(of(queue, "jobs").table_class, TableClass::system);
  EXPECT_EQ(of(queue, "jobs").proposed, Confidence::likely);
}

TEST(Doubts, ValuesTellWhatNoNameDoes) {
  FactsByTable facts;
  facts[{"public", "dues"}].keys_by_value = {"bill_to"};
  const auto c = proposed({"dues: id pk, bill_to:uuid!, total:numeric"}, facts, "uuid");
  EXPECT_EQ(of(c, "dues").key, "bill_to");
  EXPECT_EQ(of(c, "dues").table_class, TableClass::organization);
}

TEST(Doubts, ARowOfManyTablesBelongsToNoPersonForItsAuthor) {
  const auto c = proposed({"users: id pk, email:text!, password_hash:text",
                           "comments: id pk, user_id! -> users, commentable_type:text!, "
                           "commentable_id!, body:text"});
  EXPECT_TRUE(of(c, "comments").open_question());
  EXPECT_EQ(of(c, "comments").table_class, TableClass::organization);
}

TEST(References, NamesOfKeysInManyStyles) {
  const auto c = proposed({"teams: id pk, organization_id! -> organizations",
                           "members: id pk, teamid!", "goals: id pk, team!"});
  EXPECT_EQ(of(c, "members").path.size(), 1u);
  EXPECT_EQ(of(c, "goals").path.size(), 1u);
  const auto natural = proposed(
      {"site: site_no:text pk, organization_id! -> organizations", "asset: id pk, site_no:text!"});
  EXPECT_EQ(of(natural, "asset").path.size(), 1u);
  const auto ordinal =
      proposed({"lines: id pk, organization_id! -> organizations", "steps: id pk, line_no!"});
  EXPECT_TRUE(of(ordinal, "steps").path.empty()) << "a number within is no reference";
}

TEST(References, PairsOfTypeAndNumberInManySpellings) {
  const auto pair = [](const std::string& columns) {
    return !polymorphic_pairs(make_schema({"x: id pk, " + columns}).tables[0]).empty();
  };
  EXPECT_TRUE(pair("owner_type:text, owner_id"));
  EXPECT_TRUE(pair("OwnerType:text, OwnerID:integer"));
  EXPECT_TRUE(pair("res_model:text, res_id:integer"));
  EXPECT_TRUE(pair("table_name:text, row_id:uuid"));
  EXPECT_TRUE(pair("type:smallint, type_id:integer"));
  EXPECT_TRUE(pair("content_type_id:integer, object_id:integer"));
  EXPECT_FALSE(pair("name:text, course_id"));
  EXPECT_FALSE(pair("payment_type:text, paid:boolean"));
}

}  // namespace
}  // namespace domicile::catalog
