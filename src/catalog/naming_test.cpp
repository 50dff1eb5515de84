#include "catalog/naming.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace domicile::catalog {
namespace {

using testing::ElementsAre;

TEST(Naming, SplitsWordsAsPeopleWriteThem) {
  EXPECT_THAT(words_of("order_items"), ElementsAre("order", "items"));
  EXPECT_THAT(words_of("OrderItems"), ElementsAre("order", "items"));
  EXPECT_THAT(words_of("HTTPServer"), ElementsAre("http", "server"));
  EXPECT_THAT(words_of("_ContactToTag"), ElementsAre("contact", "to", "tag"));
  EXPECT_THAT(words_of(""), ElementsAre());
  for (const auto& [plural, one] :
       std::vector<std::pair<std::string, std::string>>{{"countries", "country"},
                                                        {"statuses", "status"},
                                                        {"addresses", "address"},
                                                        {"boxes", "box"},
                                                        {"people", "person"},
                                                        {"companies", "company"},
                                                        {"status", "status"},
                                                        {"classes", "class"},
                                                        {"courses", "course"},
                                                        {"quizzes", "quiz"}}) {
    EXPECT_EQ(singular(plural), one);
  }
}

TEST(Naming, KnowsOrganizationsFromOtherAccounts) {
  EXPECT_GT(organization_weight("core_tenant"), 5);
  EXPECT_GT(organization_weight("Workspace"), 5);
  EXPECT_EQ(organization_weight("email_accounts"), 0);
  EXPECT_EQ(organization_weight("courses"), 0);
}

TEST(Naming, TellsActorsFromParents) {
  for (const char* actor : {"created_by", "createdById", "author_id", "authorId", "approved_by_id",
                            "assignee_id", "owner_user_id"})
    EXPECT_TRUE(names_an_actor(actor)) << actor;
  for (const char* parent : {"user_id", "course_id", "companyId", "by_id", "id"})
    EXPECT_FALSE(names_an_actor(parent)) << parent;
}

TEST(Personal, LabelsColumnsAboutPeopleAndNotAboutThings) {
  const auto label = [](std::string name, std::string type = "text", bool people = false) {
    Column column;
    column.name = std::move(name);
    column.type = std::move(type);
    return std::string(personal_label(column, people));
  };
  EXPECT_EQ(label("email"), "email");
  EXPECT_EQ(label("billing_email"), "email");
  EXPECT_EQ(label("firstName"), "name");
  EXPECT_EQ(label("date_of_birth", "date"), "birth_date");
  EXPECT_EQ(label("last_sign_in_ip", "inet"), "ip_address");
  EXPECT_EQ(label("encrypted_password", "character varying"), "credential");
  EXPECT_EQ(label("postal_code"), "address");
  EXPECT_EQ(label("name", "text", true), "name");
  for (const char* thing :
       {"name", "phone_code", "email_template", "email_verified_at", "password_policy", "title"})
    EXPECT_EQ(label(thing), "") << thing;
  EXPECT_EQ(label("email_verified_at", "timestamp with time zone"), "");
  EXPECT_EQ(label("email_enabled", "boolean"), "");
}

TEST(Personal, ReadsTheColumnsComment) {
  Column column;
  column.name = "x17";
  column.type = "text";
  column.comment = "PII: do not export";
  EXPECT_EQ(personal_label(column, false), "other");
}

}  // namespace
}  // namespace domicile::catalog
