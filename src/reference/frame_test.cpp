#include "reference/frame.h"

#include <gtest/gtest.h>

namespace domicile::reference {
namespace {

std::string sample() {
  FrameWriter writer;
  EXPECT_TRUE(writer.empty());
  writer.add(RecordKind::message, "one");
  writer.add(RecordKind::copy_rows, std::string(3, '\0'));
  writer.add(RecordKind::copy_end, "");
  std::string frame = writer.take(9);
  EXPECT_TRUE(writer.empty());
  stamp(frame, 100, -200);
  return frame;
}

TEST(Frame, GivesBackWhatWasPutIn) {
  const std::string frame = sample();
  auto reader = FrameReader::open(frame).value();
  EXPECT_EQ(reader.sequence(), 9U);
  EXPECT_EQ(reader.arrived_us(), 100);
  EXPECT_EQ(reader.answered_us(), -200);
  EXPECT_EQ(reader.next().value()->bytes, "one");
  const auto rows = reader.next().value();
  EXPECT_EQ(rows->kind, RecordKind::copy_rows);
  EXPECT_EQ(rows->bytes.size(), 3U);
  EXPECT_EQ(reader.next().value()->kind, RecordKind::copy_end);
  EXPECT_FALSE(reader.next().value().has_value());
}

TEST(Frame, RefusesEveryCutThatSplitsARecord) {
  const std::string frame = sample();
  for (std::size_t length = 0; length < frame.size(); ++length) {
    auto reader = FrameReader::open(std::string_view(frame).substr(0, length));
    if (!reader) continue;
    Result<std::optional<Record>> record = reader->next();
    std::size_t whole = FrameWriter::kHead;
    while (record && *record) {
      whole += 5 + (*record)->bytes.size();
      record = reader->next();
    }
    EXPECT_EQ(record.has_value(), whole == length) << length;
  }
}

TEST(Frame, RefusesUnknownKindsAndOtherMagic) {
  std::string frame = sample();
  frame[FrameWriter::kHead] = 'z';
  EXPECT_FALSE(FrameReader::open(frame)->next());
  frame[0] = 'X';
  EXPECT_FALSE(FrameReader::open(frame));
}

}  // namespace
}  // namespace domicile::reference
