#include "reference/compare_wire.h"

#include <gtest/gtest.h>

#include "reference/compare_job.h"
#include "reference/repair_sql.h"

namespace domicile::reference {
namespace {

CompareOpened opened() {
  CompareOpened out;
  out.run = "abc";
  out.key = Secret(std::string("0123456789abcde\0", 16));
  out.lsn = 1ull << 63;
  ComparedTable table;
  table.schema = "app";
  table.name = "Odd \"name\"";
  table.columns = {{.name = "k", .type = "numeric", .expression = "\"k\""},
                   {.name = "v", .type = "text", .expression = "\"v\""}};
  table.key_columns = 1;
  out.tables = {table};
  return out;
}

TEST(CompareWire, BringsWhatWasOpenedAcross) {
  const auto read = decode_opened(encode_opened(opened()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->run, "abc");
  EXPECT_EQ(read->key.reveal(), opened().key.reveal());
  EXPECT_EQ(read->lsn, 1ull << 63);
  ASSERT_EQ(read->tables.size(), 1u);
  EXPECT_EQ(read->tables[0].label(), "app.Odd \"name\"");
  EXPECT_EQ(read->tables[0].difference_from(opened().tables[0]), "");
}

TEST(CompareWire, RefusesWhatIsNotWhole) {
  const std::string whole = encode_opened(opened());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode_opened(whole.substr(0, size)));
  for (
      const char* body :
      {"{}", "[]", R"({"run":"a","key":"zz","lsn":1,"tables":[]})",
       R"({"run":"a","key":"00","lsn":-1,"tables":[]})",
       R"({"run":"","key":"00","lsn":1,"tables":[]})",
       R"({"run":"a","key":"00","lsn":1,"tables":[{"schema":"a","name":"b","key_columns":1,"columns":[]}]})"})
    EXPECT_FALSE(decode_opened(body)) << body;
  EXPECT_FALSE(decode_open(R"({"tables":[1],"rows_per_second":0})"));
  EXPECT_FALSE(decode_progress(R"({"rows":1.5,"tables":1,"done":true,"seconds":1})"));
  EXPECT_FALSE(decode_digests(std::string(17, 'x'), 10));
  EXPECT_FALSE(decode_digests(std::string(160, 'x'), 9));
}

TEST(CompareWire, BringsRowsWithNullAndEmptyApart) {
  const std::vector<MasterRow> rows = {
      {.hash = {1, 2}, .values = {pg::Param("a"), pg::Param(), pg::Param("")}},
      {.hash = {3, 4},
       .values = {pg::Param(std::string(70'000, 'x')), pg::Param("NULL"), pg::Param()}}};
  const std::string bytes = encode_rows(rows);
  const auto read = decode_rows(bytes, 2);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*read)[i].hash, rows[i].hash);
    EXPECT_EQ((*read)[i].values, rows[i].values);
  }
  EXPECT_FALSE(decode_rows(bytes, 1));
  EXPECT_FALSE(decode_rows(bytes.substr(0, bytes.size() - 1), 2));
  EXPECT_FALSE(decode_rows(bytes + "x", 2));
}

TEST(CompareJob, IsReadAsTheVerbWritesIt) {
  const auto job =
      decode_job(encode_job({.tables = {"app.course"}, .repair = true, .rows_per_second = 5}));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->tables, std::vector<std::string>{"app.course"});
  EXPECT_TRUE(job->repair);
  EXPECT_EQ(job->rows_per_second, 5);
  EXPECT_TRUE(decode_job("{}"));
  for (const char* body : {"[]", R"({"repair":1})", R"({"max_rate":-1})",
                           R"({"tables":"app.course"})", R"({"fix":true})"})
    EXPECT_FALSE(decode_job(body)) << body;
}

TEST(RepairSql, SetsKeysThatMayBeWrittenInSeveralWays) {
  EXPECT_EQ(
      upsert_sql(opened().tables[0]),
      "INSERT INTO \"app\".\"Odd \"\"name\"\"\" (\"k\", \"v\") OVERRIDING SYSTEM VALUE SELECT "
      "u.c0::numeric, u.c1::text FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS u "
      "(c0, "
      "c1) ON CONFLICT (\"k\") DO UPDATE SET \"k\" = EXCLUDED.\"k\", \"v\" = EXCLUDED.\"v\"");
  ComparedTable table = opened().tables[0];
  table.columns[0].type = "bigint";
  EXPECT_TRUE(upsert_sql(table).ends_with("DO UPDATE SET \"v\" = EXCLUDED.\"v\""));
  table.columns.pop_back();
  EXPECT_TRUE(upsert_sql(table).ends_with("DO NOTHING"));
}

TEST(RepairSql, KeepsNullApartFromItsWord) {
  EXPECT_EQ(nullable_array({pg::Param("a\"\\"), pg::Param(), pg::Param("NULL"), pg::Param("")}),
            R"({"a\"\\",NULL,"NULL",""})");
}

TEST(ComparedTable, SaysWhatIsDifferent) {
  const ComparedTable one = opened().tables[0];
  ComparedTable other = one;
  other.columns[1].type = "varchar";
  EXPECT_EQ(one.difference_from(other), "column v is text here, varchar there");
  other = one;
  other.columns.pop_back();
  EXPECT_EQ(one.difference_from(other), "column v is here alone");
  EXPECT_EQ(other.difference_from(one), "column v is there alone");
  other = one;
  other.key_columns = 2;
  EXPECT_EQ(one.difference_from(other), "the primary keys have other columns");
}

TEST(ComparedTable, ParentsComeBeforeTheirChildren) {
  std::vector<ComparedTable> tables(3);
  for (std::size_t i = 0; i < 3; ++i)
    tables[i].schema = "app", tables[i].name = std::string(1, static_cast<char>('a' + i));
  tables[0].parents = {"app.c"};
  tables[2].parents = {"app.b", "other.x"};
  sort_by_parents(tables);
  EXPECT_EQ(tables[0].name + tables[1].name + tables[2].name, "bca");
  tables[0].parents = {"app.a"};  // a circle ends all the same
  sort_by_parents(tables);
  EXPECT_EQ(tables.size(), 3u);
}

}  // namespace
}  // namespace domicile::reference
