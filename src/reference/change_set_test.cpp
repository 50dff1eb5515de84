#include "reference/change_set.h"

#include <gtest/gtest.h>

#include "reference/lag.h"

namespace domicile::reference {
namespace {

using wire::pgoutput::Delete;
using wire::pgoutput::Field;
using wire::pgoutput::FieldKind;
using wire::pgoutput::Insert;
using wire::pgoutput::Tuple;
using wire::pgoutput::Update;

Field text(std::string_view value) { return {FieldKind::text, value}; }
const Field kUnchanged{FieldKind::unchanged, {}};
const Field kNull{FieldKind::null, {}};

Target course() {
  TableShape shape{.name = {"app", "course"}, .columns = {}};
  shape.columns.push_back({.name = "id",
                           .type = "bigint",
                           .cast = "bigint",
                           .default_value = {},
                           .identity = {},
                           .key = true});
  shape.columns.push_back(
      {.name = "title", .type = "text", .cast = "text", .default_value = {}, .identity = {}});
  shape.columns.push_back(
      {.name = "body", .type = "text", .cast = "text", .default_value = {}, .identity = {}});
  Target target;
  target.name = shape.name;
  target.columns = 3;
  target.writer =
      std::make_shared<TableWriter>(shape, std::vector<std::string>{"id", "title", "body"});
  return target;
}

struct Changes {
  Target target = course();
  ChangeSet set;
  Result<void> insert(Tuple row) { return set.add(target, "I", Insert{1, std::move(row)}); }
  Result<void> update(Tuple row, Tuple old = {}) {
    return set.add(target, "U",
                   Update{1, old.empty() ? '\0' : 'K', std::move(old), std::move(row)});
  }
  Result<void> remove(Tuple key) { return set.add(target, "D", Delete{1, 'K', std::move(key)}); }
  const TableChanges& table() const { return set.tables().at(target.name); }
  std::string title(std::size_t row) const {
    return std::string(table().fields[table().rows[row].first + 1].value);
  }
};

TEST(ChangeSet, ManyChangesOfARowComeToOne) {
  Changes changes;
  ASSERT_TRUE(changes.insert({text("1"), text("a"), text("x")}));
  ASSERT_TRUE(changes.update({text("1"), text("b"), kUnchanged}));
  ASSERT_TRUE(changes.update({text("1"), text("c"), kUnchanged}));
  ASSERT_EQ(changes.table().rows.size(), 1U);
  EXPECT_EQ(changes.table().rows[0].effect, Effect::insert);
  EXPECT_FALSE(changes.table().rows[0].partial)
      << "the value that did not change came with the insert";
  EXPECT_EQ(changes.title(0), "c");
  EXPECT_EQ(changes.table().fields[2].value, "x");
  EXPECT_EQ(changes.table().updates, 2) << "but all are counted";
}

TEST(ChangeSet, AValueThatDidNotTravelStaysUnknownUntilItDoes) {
  Changes changes;
  ASSERT_TRUE(changes.update({text("1"), text("a"), kUnchanged}));
  EXPECT_TRUE(changes.table().rows[0].partial);
  ASSERT_TRUE(changes.update({text("1"), kNull, text("whole")}));
  EXPECT_FALSE(changes.table().rows[0].partial);
}

TEST(ChangeSet, DeletedAndMadeAgainIsTheSameRowWithOtherValues) {
  Changes changes;
  ASSERT_TRUE(changes.remove({text("1"), kNull, kNull}));
  ASSERT_TRUE(changes.insert({text("1"), text("again"), kNull}));
  EXPECT_EQ(changes.table().rows[0].effect, Effect::update);
  EXPECT_FALSE(changes.table().rows[0].partial);
  ASSERT_TRUE(changes.remove({text("1"), kNull, kNull}));
  EXPECT_EQ(changes.table().rows[0].effect, Effect::remove);
}

TEST(ChangeSet, AnotherKeyOrAnEmptiedTableNeedsTheOrder) {
  Changes moved;
  ASSERT_TRUE(moved.update({text("2"), text("a"), kUnchanged}, {text("1"), kNull, kNull}));
  EXPECT_FALSE(moved.set.net());
  Changes same;  // the whole old row came, and its key is the same
  ASSERT_TRUE(same.update({text("1"), text("a"), text("b")}, {text("1"), text("z"), text("y")}));
  EXPECT_TRUE(same.set.net());
  Changes emptied;
  emptied.set.truncate({&emptied.target}, "T");
  EXPECT_FALSE(emptied.set.net());
  emptied.set.clear();
  EXPECT_TRUE(emptied.set.net());
  EXPECT_TRUE(emptied.set.empty());
}

TEST(ChangeSet, RefusesRowsThatDoNotFit) {
  Changes changes;
  EXPECT_FALSE(changes.insert({text("1"), text("a")}));
  EXPECT_FALSE(changes.insert({kNull, text("a"), text("b")}));
  EXPECT_FALSE(changes.remove({kNull, text("a"), text("b")}));
}

TEST(Lag, TellsPercentilesOfTheLastHeartbeats) {
  Lag lag;
  for (int i = 1; i <= 100; ++i) lag.add(i);
  EXPECT_EQ(lag.percentile_us(50), 50);
  EXPECT_EQ(lag.percentile_us(99), 99);
  lag.add(-5);
  EXPECT_EQ(lag.last_us(), 0) << "a clock that is a little ahead makes no negative lag";
  for (int i = 0; i < 600; ++i) lag.add(7);
  EXPECT_EQ(lag.percentile_us(99), 7);
}

TEST(ClockOffset, BelievesTheCallThatWasQuickest) {
  ClockOffset offset;
  offset.add(5'000, 4'000);
  offset.add(100, 50);
  offset.add(9'000, 8'000);
  EXPECT_EQ(offset.offset_us(), 100);
  for (int i = 0; i < 8; ++i) offset.add(-3'600'000'000, 60);
  EXPECT_EQ(offset.offset_us(), -3'600'000'000) << "an hour's jump is followed";
}

}  // namespace
}  // namespace domicile::reference
