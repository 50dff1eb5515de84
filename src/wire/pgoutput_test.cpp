#include "wire/pgoutput.h"

#include <gtest/gtest.h>

namespace domicile::wire {
namespace {

using std::string_literals::operator""s;

std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift & 0xFF));
  return out;
}
std::string text_field(std::string_view value) {
  return "t" + number(value.size(), 4) + std::string(value);
}

// As a server writes them (PostgreSQL 15, 55.9).
const std::string kBegin =
    "B" + number(0x16B374D848, 8) + number(700'000'000'000'000, 8) + number(742, 4);
const std::string kCommit = "C" + number(0, 1) + number(0x10, 8) + number(0x20, 8) + number(5, 8);
const std::string kRelation = "R" + number(16'400, 4) + "app\0"s + "course\0"s + "d" +
                              number(2, 2) + number(1, 1) + "id\0"s + number(20, 4) +
                              number(0xFFFFFFFF, 4) + number(0, 1) + "body\0"s + number(25, 4) +
                              number(0xFFFFFFFF, 4);
const std::string kInsert = "I" + number(16'400, 4) + "N" + number(2, 2) + text_field("7") + "n";
const std::string kUpdate = "U" + number(16'400, 4) + "K" + number(2, 2) + text_field("7") + "n" +
                            "N" + number(2, 2) + text_field("8") + "u";
const std::string kDelete = "D" + number(16'400, 4) + "K" + number(2, 2) + text_field("7") + "n";
const std::string kTruncate =
    "T" + number(2, 4) + number(1, 1) + number(16'400, 4) + number(16'401, 4);

TEST(Pgoutput, ReadsWhatAServerWrites) {
  const auto begin = std::get<pgoutput::Begin>(pgoutput::parse(kBegin).value());
  EXPECT_EQ(format_lsn(begin.commit), "16/B374D848");
  EXPECT_EQ(begin.xid, 742U);
  EXPECT_EQ(std::get<pgoutput::Commit>(pgoutput::parse(kCommit).value()).end, 0x20U);
  const auto relation = std::get<pgoutput::Relation>(pgoutput::parse(kRelation).value());
  EXPECT_EQ(relation.schema, "app");
  EXPECT_EQ(relation.name, "course");
  ASSERT_EQ(relation.columns.size(), 2U);
  EXPECT_TRUE(relation.columns[0].key);
  EXPECT_EQ(relation.columns[1].name, "body");
  EXPECT_EQ(relation.columns[1].modifier, -1);
  const auto update = std::get<pgoutput::Update>(pgoutput::parse(kUpdate).value());
  EXPECT_EQ(update.old_kind, 'K');
  EXPECT_EQ(update.old[0].value, "7");
  EXPECT_EQ(update.row[1].kind, pgoutput::FieldKind::unchanged);
  EXPECT_TRUE(std::get<pgoutput::Truncate>(pgoutput::parse(kTruncate).value()).cascade);
}

TEST(Pgoutput, KeepsNullAndTheEmptyTextApart) {
  const auto insert = std::get<pgoutput::Insert>(
      pgoutput::parse("I" + number(1, 4) + "N" + number(2, 2) + text_field("") + "n").value());
  EXPECT_EQ(insert.row[0].kind, pgoutput::FieldKind::text);
  EXPECT_EQ(insert.row[1].kind, pgoutput::FieldKind::null);
}

TEST(Pgoutput, RefusesEveryMessageThatIsCutOrTooLong) {
  for (const std::string& whole :
       {kBegin, kCommit, kRelation, kInsert, kUpdate, kDelete, kTruncate}) {
    ASSERT_TRUE(pgoutput::parse(whole));
    EXPECT_FALSE(pgoutput::parse(whole + "x")) << whole[0];
    for (std::size_t length = 0; length < whole.size(); ++length) {
      EXPECT_FALSE(pgoutput::parse(std::string_view(whole).substr(0, length)))
          << whole[0] << " at " << length;
    }
  }
}

TEST(Pgoutput, RefusesCountsThatCannotBe) {
  EXPECT_FALSE(pgoutput::parse("I" + number(1, 4) + "N" + number(0x7FFF, 2)));
  EXPECT_FALSE(pgoutput::parse("I" + number(1, 4) + "N" + number(0xFFFF, 2)));
  EXPECT_FALSE(
      pgoutput::parse("I" + number(1, 4) + "N" + number(1, 2) + "t" + number(0xFFFFFFFF, 4)));
  EXPECT_FALSE(pgoutput::parse("T" + number(0x7FFFFFFF, 4) + number(0, 1)));
  EXPECT_FALSE(pgoutput::parse("Z"));
}

TEST(Pgoutput, TellsTheRelationsWithoutTheRest) {
  EXPECT_EQ(pgoutput::relations_of(kInsert).value(), std::vector<std::uint32_t>{16'400});
  EXPECT_EQ(pgoutput::relations_of(kTruncate).value(),
            (std::vector<std::uint32_t>{16'400, 16'401}));
  EXPECT_TRUE(pgoutput::relations_of(kBegin).value().empty());
  EXPECT_FALSE(pgoutput::relations_of("I\1"));
}

TEST(Replication, ReadsDataAndKeepalives) {
  const std::string wrapped = "w" + number(1, 8) + number(2, 8) + number(3, 8) + kInsert;
  const auto data = std::get<replication::Data>(replication::parse(wrapped).value());
  EXPECT_EQ(data.end, 2U);
  EXPECT_EQ(data.message, kInsert);
  const std::string keepalive = "k" + number(9, 8) + number(3, 8) + number(1, 1);
  const auto alive = std::get<replication::Keepalive>(replication::parse(keepalive).value());
  EXPECT_TRUE(alive.reply);
  EXPECT_FALSE(replication::parse("k" + number(9, 8)));
  EXPECT_FALSE(replication::parse("w" + number(9, 8)));
  EXPECT_EQ(replication::status_update(1, 2, 3),
            "r" + number(1, 8) + number(2, 8) + number(2, 8) + number(3, 8) + number(0, 1));
}

TEST(Lsn, IsTwoHexadecimalNumbers) {
  EXPECT_EQ(parse_lsn("16/B374D848").value(), 0x16B374D848U);
  EXPECT_EQ(format_lsn(0), "0/0");
  for (const char* bad : {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "1/123456789", " 1/2", "-1/2"})
    EXPECT_FALSE(parse_lsn(bad)) << bad;
}

}  // namespace
}  // namespace domicile::wire
