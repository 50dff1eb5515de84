#include "logindex/row.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "audit/event_line.h"
#include "audit/event_samples.h"

namespace domicile::logindex {
namespace {

std::vector<std::string> fields(std::string_view row) {
  std::vector<std::string> out(1);
  for (const char c : row) {
    if (c == '\t') {
      out.emplace_back();
    } else if (c != '\n') {
      out.back() += c;
    }
  }
  return out;
}

std::vector<std::string> row_of(std::string_view line) {
  std::string out;
  append_row(out, 1, 42, line);
  EXPECT_EQ(std::ranges::count(out, '\n'), 1);
  return fields(out);
}

TEST(Row, HasEveryColumnForEveryKindOfEvent) {
  for (const auto& event : audit::event_samples()) {
    for (const auto& record : audit::to_ocsf(event)) {
      std::string line;
      audit::append_line(line, record, 42, 42);
      const auto row = row_of(line);
      ASSERT_EQ(row.size(), 20u) << line;
      EXPECT_EQ(row[0], "42");
      EXPECT_NE(row[6], "\\N") << line;
      EXPECT_NE(row[7], "\\N") << line;
    }
  }
}

TEST(Row, TakesWhatQuestionsAskFrom) {
  const auto row = row_of(
      R"({"actor":{"user":{"groups":[{"name":"teacher"}],"org":{"uid":"8"},"uid":"u1"}},"api":{"operation":"courses.list"},)"
      R"("class_uid":6003,"activity_id":2,"cloud":{"region":"ca-central-1"},"metadata":{"event_code":"request","tenant_uid":"7",)"
      R"("correlation_uid":"r1"},"severity_id":1,"src_endpoint":{"ip":"203.0.113.9"},"status_code":"no_permission","time":1767225600123,)"
      R"("unmapped":{"details":{"subject":"u2","ticket":"T-1"},"outcome":"denied"}})");
  const std::vector<std::string> wanted{"42",
                                        "2026-01-01 00:00:00.123+00",
                                        "1",
                                        "6003",
                                        "2",
                                        "1",
                                        "request",
                                        "denied",
                                        "ca-central-1",
                                        "7",
                                        "8",
                                        "u1",
                                        "teacher",
                                        "u2",
                                        "203.0.113.9",
                                        "courses.list",
                                        "\\N",
                                        "no_permission",
                                        "r1",
                                        R"({"subject":"u2","ticket":"T-1"})"};
  EXPECT_EQ(row, wanted);
}

TEST(Row, NamesNobodyWhereTheLogHoldsACommitment) {
  const auto row = row_of(
      R"({"actor":{"user":{"uid":"sha256:00ff"}},"unmapped":{"details":{"subject":"sha256:01"}}})");
  EXPECT_EQ(row[11], "\\N");
  EXPECT_EQ(row[13], "\\N");
}

TEST(Row, IsOneThatTheDatabaseTakesWhateverTheLineHolds) {
  const auto row = row_of(
      R"({"metadata":{"tenant_uid":"a\tb\\\nc\u0000d"},"src_endpoint":{"ip":"1.2.3.4; DROP"},"time":999999999999999999,)"
      R"("class_uid":-4,"unmapped":{"details":{"x\u0000":"\u0000\t"},"operation":7}})");
  ASSERT_EQ(row.size(), 20u);
  EXPECT_EQ(row[9],
            "a\\tb\\\\\\nc\xEF\xBF\xBD"
            "d");
  EXPECT_EQ(row[14], "\\N");
  EXPECT_EQ(row[1], "9999-12-31 23:59:59.999+00");
  EXPECT_EQ(row[3], "\\N");
  EXPECT_EQ(row[19], "{\"x\xEF\xBF\xBD\":\"\xEF\xBF\xBD\\\\t\"}");
  for (const char* broken : {"", "{", "[1]", "null", "{\"a\":}", "\xff"}) {
    const auto unreadable = row_of(broken);
    ASSERT_EQ(unreadable.size(), 20u) << broken;
    EXPECT_EQ(unreadable[6], "unreadable");
  }
}

TEST(Row, TellsAnErasure) {
  std::string out;
  const auto facts = append_row(
      out, 1, 1,
      R"({"metadata":{"event_code":"log_changed","tenant_uid":"7"},"unmapped":{"operation":"log.erased"}})");
  EXPECT_TRUE(facts.erased);
  EXPECT_EQ(facts.organization, "7");
}

}  // namespace
}  // namespace domicile::logindex
