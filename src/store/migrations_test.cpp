#include "store/migrations.h"

#include <gtest/gtest.h>

#include "store/guard_sql.h"

namespace domicile::store {
namespace {

TEST(FillPlaceholders, ReplacesEveryOccurrence) {
  EXPECT_EQ(fill_placeholders("a {{x}} b {{x}}{{y}}", {{"x", "1"}, {"y", "2"}}).value(),
            "a 1 b 12");
  EXPECT_EQ(fill_placeholders("{ }} } {", {}).value(), "{ }} } {");
}

TEST(FillPlaceholders, RefusesWhatIsMissingOrOpen) {
  EXPECT_EQ(fill_placeholders("{{x}}", {}).error().code, Code::internal);
  EXPECT_EQ(fill_placeholders("{{x", {{"x", "1"}}).error().code, Code::internal);
}

TEST(MigrationSteps, AreSortedAndNamed) {
  MigrationOptions options{.set = "region", .schema = "domicile", .last = 99};
  options.values = region_placeholders(domain::KeyType::text);
  const auto steps = migration_steps(options);
  ASSERT_TRUE(steps) << steps.error().message;
  for (std::size_t i = 1; i < steps->size(); ++i) {
    EXPECT_LT((*steps)[i - 1].version, (*steps)[i].version);
  }
  for (const auto& step : *steps) EXPECT_EQ(step.sha256.size(), 64u);
}

}  // namespace
}  // namespace domicile::store
