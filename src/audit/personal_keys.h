// The keys under which personal fields are sealed, and their end.
//
// A random key per person of an organization is wrapped by the organization's key, which is wrapped
// by the node's master key; all stand in one file (key_file.h). Whose key a slot holds is told by a
// MAC under a key of its own, so that the file names nobody. Whoever destroys a slot has erased what
// was sealed under it, wherever copies of the log are.
//
// New keys live in memory until flush() makes them durable, many with one fdatasync: whoever
// acknowledges something sealed calls flush() first. Recently used keys stay unwrapped, at most
// `cached_max` of each kind; per person an index of 21 to 43 bytes (by how full it is) stays in
// memory, and 96 bytes on the disk.
//
// Thread-safe. `open_read_only` is for a reader beside a running node: it makes and erases nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/key_file.h"
#include "audit/master_key.h"
#include "audit/personal_index.h"
#include "base/result.h"
#include "crypto/hmac.h"
#include "crypto/sealed.h"

namespace domicile::audit {

struct PersonalKeyOptions {
  std::filesystem::path file;         // `personal` in the log's key folder
  std::filesystem::path master_file;  // 64 hex digits, mode 0600; made where both are absent
  std::size_t cached_max = 16'384;
};

struct NamedKey {
  std::uint32_t slot = 0;
  crypto::SealingKey key;
};
using KeyHandle = std::shared_ptr<const NamedKey>;

struct PersonalKeyStats {
  std::uint64_t persons = 0;
  std::uint64_t organizations = 0;
  std::uint64_t damaged = 0;  // slots that a disk changed: what they sealed stays closed
  std::uint64_t memory_bytes = 0;
};

class PersonalKeys {
 public:
  static Result<std::unique_ptr<PersonalKeys>> open(PersonalKeyOptions options);
  static Result<std::unique_ptr<PersonalKeys>> open_read_only(PersonalKeyOptions options);

  // Made where there is none. `person` may be empty: whoever in that organization has no name.
  Result<KeyHandle> person(std::string_view organization, std::string_view person);
  // The key in a slot; nullptr: it was erased.
  Result<KeyHandle> in_slot(std::uint32_t slot);
  // The key of a day, for tags that tell one actor's attempts together. Those of `day` - 2 and
  // before are destroyed.
  Result<Secret> of_day(std::uint32_t day);
  Result<void> forget_days_before(std::uint32_t day);

  Result<void> flush();

  // How many keys of persons are gone for good. Nothing to erase is 0, not an error.
  Result<std::uint64_t> erase_person(std::string_view organization, std::string_view person);
  Result<std::uint64_t> erase_organization(std::string_view organization);
  // A new key wraps what the old one wrapped; what is sealed stays as it is. Afterwards a copy of the
  // old file opens nothing with the new keys.
  Result<void> rotate_master();
  Result<void> rotate_organization(std::string_view organization);

  // Whose key it is, without naming them: the tag in the file of keys, in hex. Not for a reader.
  std::string name_of(std::string_view organization, std::string_view person);

  PersonalKeyStats stats() const;

 private:
  struct Found {
    std::uint32_t number = 0;  // 0: none
    KeySlot slot;
  };
  PersonalKeys(PersonalKeyOptions options, KeyFile::Access access, MasterKey master,
               std::shared_ptr<KeyFile> file);

  Result<void> load();
  Result<void> may_write() const;
  Result<void> flush_held();  // with `io_` held
  static std::string wrap_context(const KeySlot& slot, std::uint32_t number);
  static void wrap(KeySlot& slot, std::uint32_t number, const Secret& key,
                   const crypto::SealingKey& under);
  static Result<Secret> unwrap(const KeySlot& slot, std::uint32_t number,
                               const crypto::SealingKey& under);

  // All of these with `state_` held.
  SlotIndex::Tag tag_of(KeyKind kind, std::string_view first, std::string_view second);
  Result<std::optional<KeySlot>> slot_at(std::uint32_t number);
  Result<Found> find(KeyKind kind, const SlotIndex::Tag& tag);
  std::uint32_t add(KeySlot slot, const Secret& key, const crypto::SealingKey& under);
  Result<KeyHandle> make(KeyKind kind, const SlotIndex::Tag& tag, std::uint32_t parent,
                         const crypto::SealingKey& under);
  Result<KeyHandle> organization(std::string_view organization);
  Result<KeyHandle> opened(std::uint32_t number);
  void forget_unwrapped();

  const PersonalKeyOptions options_;
  const KeyFile::Access access_;

  std::mutex io_;             // of whoever writes the file; taken before `state_`
  mutable std::mutex state_;  // everything below
  MasterKey master_;
  std::shared_ptr<KeyFile> file_;
  std::optional<crypto::HmacSha256> namer_;
  SlotIndex index_;
  RecentCache<std::string, KeyHandle> persons_;        // organization NUL person
  RecentCache<std::string, KeyHandle> organizations_;  // organization
  RecentCache<std::uint32_t, KeyHandle> by_slot_;
  std::map<std::uint32_t, std::uint32_t> days_;  // day -> slot
  std::vector<KeySlot> pending_;                 // slots durable_next_ and on
  std::uint32_t durable_next_;
  PersonalKeyStats stats_;
};

}  // namespace domicile::audit
