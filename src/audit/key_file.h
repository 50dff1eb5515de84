// The file of wrapped keys: slots of one size, in the order in which they were made. A key never
// changes its slot and a slot is never used twice, so that a sealed text can name its key by the
// slot's number, and a reader needs no index.
//
//   slot 0   "domicile-keys-1\n" || master key's id[16] || zeros || check
//   slot n   kind[1] 0[3] || parent[4] || tag[16] || wrapped[60] || check[8] || 0[4]
//
// Numbers are little-endian. `tag` says whose key it is without naming anybody (a MAC), `parent` is
// the slot of the key that wraps this one (0: the master key; the key of a day
// has its day here), `wrapped` is nonce || key || tag of
// AES-256-GCM, `check` is XXH3-64 of what stands before it, seeded with the slot's number: it finds
// damage and torn writes, not forgery (GCM does). A slot of zeros is an erased one.
//
// append() makes new slots durable before it returns; what it could not write it writes again at the
// same place. erase() overwrites in place. rewrite() makes a whole new file and renames it, so that
// a crash leaves the old one or the new one. One writer: a lock on the file. read() may run on any thread beside one writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::audit {

enum class KeyKind : std::uint8_t { erased = 0, index = 1, organization = 2, person = 3, day = 4 };

constexpr std::size_t kKeySlotBytes = 96;
constexpr std::size_t kWrappedKeyBytes = 60;
constexpr std::size_t kKeyTagBytes = 16;

struct KeySlot {
  KeyKind kind = KeyKind::erased;
  std::uint32_t parent = 0;
  std::array<char, kKeyTagBytes> tag{};
  std::array<char, kWrappedKeyBytes> wrapped{};
};

std::string encode_key_slot(const KeySlot& slot, std::uint32_t number);
// nullopt: damaged. Zeros are an erased slot.
std::optional<KeySlot> decode_key_slot(std::string_view bytes, std::uint32_t number);

class KeyFile {
 public:
  enum class Access { read, write };
  using MasterId = std::array<char, kKeyTagBytes>;

  // For writing, an absent file is made (mode 0600) with `master`'s id in its head.
  static Result<std::unique_ptr<KeyFile>> open(const std::filesystem::path& path, Access access,
                                               const MasterId& master);
  static Result<MasterId> master_of(const std::filesystem::path& path);
  ~KeyFile();

  const MasterId& master() const { return master_; }
  std::uint32_t next() const {
    return next_.load(std::memory_order_acquire);
  }  // next slot's number

  Result<std::optional<KeySlot>> read(std::uint32_t number) const;  // nullopt: damaged
  Result<void> append(std::span<const KeySlot> slots);
  Result<void> erase(std::span<const std::uint32_t> numbers);

  // Every slot in order; a damaged one is nullopt.
  using Visit = std::function<void(std::uint32_t number, const std::optional<KeySlot>& slot)>;
  Result<void> visit(const Visit& visit) const;
  // The same slots as `change` leaves them, under `master`, in a new file of the same name. The old
  // file's bytes are overwritten before they are given back. `*this` goes on reading the old file.
  using Change = std::function<Result<void>(std::uint32_t number, KeySlot& slot)>;
  Result<std::unique_ptr<KeyFile>> rewrite(const MasterId& master, const Change& change) const;
  // False once another file has taken this one's name.
  bool current() const;

 private:
  KeyFile(int fd, std::filesystem::path path, MasterId master, std::uint32_t next);

  const int fd_;
  const std::filesystem::path path_;
  const MasterId master_;
  std::atomic<std::uint32_t> next_;
};

}  // namespace domicile::audit
