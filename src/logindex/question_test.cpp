#include "logindex/question.h"

#include <gtest/gtest.h>

namespace domicile::logindex {
namespace {

TEST(Question, EveryOneOfOursCanBeReadAndSaysWhatItIs) {
  const auto all = questions();
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_GE(all->size(), 10u);
  for (const Question& question : *all) {
    EXPECT_FALSE(question.title.empty());
    EXPECT_TRUE(question.sql.starts_with("SELECT")) << question.name;
    for (std::size_t i = 0; i < question.parameters.size(); ++i) {
      EXPECT_NE(question.sql.find("$" + std::to_string(i + 3)), std::string::npos) << question.name;
    }
    EXPECT_EQ(question.sql.find("$" + std::to_string(question.parameters.size() + 3)),
              std::string::npos);
  }
}

TEST(Question, TakesDefaultsAndAsksForWhatIsMissing) {
  const auto question = parse_question("q",
                                       "-- A title\n--: organization text required: the key\n--: "
                                       "least integer 3: so many\nSELECT 1");
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->title, "A title");
  const auto bound = bind(*question, "a", "b", {{"organization", "7"}});
  ASSERT_TRUE(bound.has_value());
  EXPECT_EQ(*bound, (std::vector<pg::Param>{"a", "b", "7", "3"}));
  EXPECT_EQ(bind(*question, "a", "b", {}).error().message,
            "q needs --set organization=... (the key)");
  EXPECT_EQ(bind(*question, "a", "b", {{"organisation", "7"}}).error().message,
            "q has no parameter \"organisation\": it has organization, least");
}

TEST(Question, RefusesAFileOfAnotherForm) {
  EXPECT_FALSE(parse_question("q", "SELECT 1").has_value());
  EXPECT_FALSE(parse_question("q", "-- A title\n").has_value());
  EXPECT_FALSE(parse_question("q", "-- A title\n--: least\nSELECT 1").has_value());
}

}  // namespace
}  // namespace domicile::logindex
