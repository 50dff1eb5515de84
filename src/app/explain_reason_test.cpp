#include "app/explain_reason.h"

#include <set>

#include <gtest/gtest.h>

#include "app/explain_sql.h"
#include "policy/denial.h"

namespace domicile::app {
namespace {

TEST(ExplainReason, KnowsEveryReasonOfPolicyOnceWithARemedy) {
  for (int i = 0; i < policy::kDenialReasons; ++i) {
    const auto reason = policy::to_string(static_cast<policy::DenialReason>(i));
    EXPECT_NE(explain_reason(reason), nullptr) << reason;
  }
  std::set<std::string_view> seen;
  for (const auto& entry : explained_reasons()) {
    EXPECT_TRUE(seen.insert(entry.reason).second) << entry.reason;
    EXPECT_FALSE(entry.meaning.empty());
    EXPECT_FALSE(entry.remedy.empty());
  }
  EXPECT_EQ(explain_reason("nothing_of_the_kind"), nullptr);
}

TEST(ExplainSql, ReadsAnyBytesWithoutHarm) {
  std::string text = "ERROR:  42501: domicile: the organization context has expired";
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char byte : {'\0', '\xff', '4', ' '}) {
      std::string changed = text;
      changed[i] = byte;
      const auto found = explain_sql(changed);
      if (found.known != nullptr) EXPECT_FALSE(found.known->remedy.empty());
      explain_sql(std::string_view(changed).substr(0, i));
    }
  }
  EXPECT_EQ(explain_sql(std::string(1 << 20, 'x')).known, nullptr);
}

}  // namespace
}  // namespace domicile::app
