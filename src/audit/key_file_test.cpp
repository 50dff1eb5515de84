#include "audit/key_file.h"

#include <csignal>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "audit/scratch_folder.h"
#include "base/file.h"

namespace domicile::audit {
namespace {

KeySlot slot_of(char fill) {
  KeySlot slot{.kind = KeyKind::person, .parent = 1};
  slot.tag.fill(fill);
  slot.wrapped.fill(fill);
  return slot;
}

std::unique_ptr<KeyFile> open_file(const std::filesystem::path& path) {
  auto file = KeyFile::open(path, KeyFile::Access::write, {});
  EXPECT_TRUE(file) << file.error().message;
  return std::move(*file);
}

TEST(KeyFile, AnyChangedByteOfASlotIsFound) {
  const std::string bytes = encode_key_slot(slot_of('a'), 7);
  ASSERT_EQ(bytes.size(), kKeySlotBytes);
  EXPECT_EQ(decode_key_slot(bytes, 7)->tag, slot_of('a').tag);
  EXPECT_FALSE(decode_key_slot(bytes, 8));  // a slot that was moved
  for (std::size_t at = 0; at < kKeySlotBytes - 4; ++at) {
    if (at >= 1 && at < 4) continue;  // covered by the check all the same
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(decode_key_slot(changed, 7)) << at;
  }
}

TEST(KeyFile, AfterACutAtAnyByteTheWholeSlotsAreThereAndNewOnesFollow) {
  const ScratchFolder scratch;
  const auto path = scratch.path() / "personal";
  {
    const auto file = open_file(path);
    ASSERT_TRUE(file->append(std::array{slot_of('a'), slot_of('b')}));
  }
  const std::string whole = read_file(path).value();
  ASSERT_EQ(whole.size(), 3 * kKeySlotBytes);
  for (std::size_t size = kKeySlotBytes; size <= whole.size(); ++size) {
    std::ofstream(path, std::ios::trunc) << whole.substr(0, size);
    const auto file = open_file(path);
    const auto kept = static_cast<std::uint32_t>(size / kKeySlotBytes);
    EXPECT_EQ(file->next(), kept);
    ASSERT_TRUE(file->append(std::array{slot_of('c')}));
    EXPECT_EQ(file->read(kept).value()->tag, slot_of('c').tag);
    if (kept > 1) EXPECT_EQ(file->read(1).value()->tag, slot_of('a').tag);
  }
}

TEST(KeyFile, AnErasedSlotLeavesNoByteInTheFile) {
  const ScratchFolder scratch;
  const auto path = scratch.path() / "personal";
  const auto file = open_file(path);
  ASSERT_TRUE(file->append(std::array{slot_of('a'), slot_of('b'), slot_of('c')}));
  ASSERT_TRUE(file->erase(std::array<std::uint32_t, 1>{2}));
  EXPECT_EQ(file->read(2).value()->kind, KeyKind::erased);
  const std::string bytes = read_file(path).value();
  EXPECT_EQ(bytes.find("bbbb"), bytes.npos);
  EXPECT_NE(bytes.find("aaaa"), bytes.npos);
  EXPECT_EQ(bytes.size(), 4 * kKeySlotBytes);  // the numbers of the others stay
}

TEST(KeyFile, ARewriteKeepsNumbersAndOverwritesTheOldFile) {
  const ScratchFolder scratch;
  const auto path = scratch.path() / "personal";
  auto file = open_file(path);
  ASSERT_TRUE(file->append(std::array{slot_of('a'), slot_of('b')}));
  std::filesystem::create_hard_link(path, scratch.path() / "old");
  KeyFile::MasterId other{};
  other.fill('m');
  const auto fresh = file->rewrite(other, [](std::uint32_t, KeySlot& slot) -> Result<void> {
    slot.wrapped.fill('z');
    return {};
  });
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_FALSE(file->current());
  EXPECT_TRUE((*fresh)->current());
  EXPECT_EQ((*fresh)->read(2).value()->tag, slot_of('b').tag);
  EXPECT_EQ((*fresh)->read(2).value()->wrapped[0], 'z');
  const std::string old = read_file(scratch.path() / "old").value();
  EXPECT_EQ(old.find_first_not_of('\0'), old.npos);
  EXPECT_FALSE(KeyFile::open(path, KeyFile::Access::write, {}));  // another master key's
}

TEST(KeyFile, WhatAFullDiskRefusedIsWrittenLaterAtTheSamePlace) {
  const ScratchFolder scratch;
  const auto file = open_file(scratch.path() / "personal");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{kKeySlotBytes * 2 + 10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const auto refused = file->append(std::array{slot_of('a'), slot_of('b')});
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(file->next(), 1u);
  ASSERT_TRUE(file->append(std::array{slot_of('a'), slot_of('b')}));
  EXPECT_EQ(file->read(2).value()->tag, slot_of('b').tag);
}

}  // namespace
}  // namespace domicile::audit
