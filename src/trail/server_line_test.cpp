#include "trail/server_line.h"

#include <gtest/gtest.h>

namespace domicile::trail {
namespace {

constexpr std::string_view kJson =
    R"({"timestamp":"2026-11-30 09:43:53.123 UTC","user":"eve","dbname":"app","pid":4711,"remote_host":"192.0.2.7","remote_port":50000,)"
    R"("session_id":"65a.1267","line_num":2,"ps":"authentication","session_start":"2026-11-30 09:43:53 UTC","vxid":"3/1","txid":0,)"
    R"("error_severity":"LOG","message":"connection authorized: user=eve database=app application_name=psql","backend_type":"client backend","query_id":0})";

TEST(ServerLine, ReadsJsonAndCsvAlike) {
  const auto json = parse_server_record(LogForm::json, kJson);
  ASSERT_TRUE(json.has_value());
  const auto csv =
      parse_server_record(LogForm::csv,
                          "2026-11-30 09:43:53.123 "
                          "UTC,\"eve\",\"app\",4711,\"192.0.2.7:50000\",65a.1267,2,"
                          "\"authentication\",2026-11-30 09:43:53 "
                          "UTC,3/1,0,LOG,00000,\"connection authorized: user=eve database=app "
                          "application_name=psql\",,,,,,,,,\"\",\"client backend\",,0\n");
  ASSERT_TRUE(csv.has_value());
  for (const auto& record : {*json, *csv}) {
    EXPECT_EQ(record.user, "eve");
    EXPECT_EQ(record.database, "app");
    EXPECT_EQ(record.remote_host, "192.0.2.7");
    EXPECT_EQ(record.session, "65a.1267");
    EXPECT_EQ(record.line, 2u);
    EXPECT_EQ(record.pid, 4711u);
    EXPECT_EQ(record.ps, "authentication");
    EXPECT_EQ(record.severity, "LOG");
    EXPECT_EQ(record.message, "connection authorized: user=eve database=app application_name=psql");
    EXPECT_EQ(record.backend, "client backend");
    EXPECT_EQ(server_time_ms(record.time), 1796031833123);
  }
}

TEST(ServerLine, AQuotedNewlineEndsNoRecord) {
  const std::string_view two = "a,\"b\n,\"\"c\",d\nnext";
  const auto end = record_end(LogForm::csv, two);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(two.substr(*end), "next");
  EXPECT_FALSE(record_end(LogForm::csv, "a,\"b\n").has_value());
  EXPECT_FALSE(record_end(LogForm::json, "{\"a\":1}").has_value());
}

TEST(ServerLine, WhatIsNoRecordIsNone) {
  for (const char* text : {"", "{", "[]", "{}", "{\"session_id\":7}",
                           "{\"session_id\":\"a\",\"line_num\":-1}", "null"}) {
    EXPECT_FALSE(parse_server_record(LogForm::json, text).has_value()) << text;
  }
  EXPECT_FALSE(parse_server_record(LogForm::csv, "a,b\n").has_value());
  EXPECT_FALSE(parse_server_record(LogForm::csv, std::string(200, ',')).has_value());
  EXPECT_FALSE(
      parse_server_record(LogForm::json, std::string(kServerRecordBytesMax + 1, ' ')).has_value());
}

TEST(ServerLine, ATimeOfAnotherZoneIsNotGuessed) {
  EXPECT_FALSE(server_time_ms("2026-11-30 09:43:53.123 IST").has_value());
  EXPECT_FALSE(server_time_ms("2026-13-30 09:43:53.123 UTC").has_value());
  EXPECT_FALSE(server_time_ms("2026-11-30 09:43:53.1x3 UTC").has_value());
  EXPECT_FALSE(server_time_ms("").has_value());
  EXPECT_EQ(server_time_ms("1970-01-01 00:00:01.002 UTC"), 1002);
}

}  // namespace
}  // namespace domicile::trail
