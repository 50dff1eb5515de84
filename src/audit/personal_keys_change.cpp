// The end of keys, and their replacement.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "audit/personal_keys.h"
#include "crypto/random.h"

namespace domicile::audit {

using crypto::SealingKey;

Result<std::uint64_t> PersonalKeys::erase_person(std::string_view organization_name,
                                                 std::string_view person) {
  TRY(may_write());
  const std::lock_guard io(io_);
  TRY(flush_held());
  Found found;
  {
    const std::lock_guard lock(state_);
    found = TRY(find(KeyKind::person, tag_of(KeyKind::person, organization_name, person)));
    if (found.number == 0) return 0;
    index_.remove(found.slot.tag, found.number);
    forget_unwrapped();
    --stats_.persons;
  }
  if (auto erased = file_->erase(std::array{found.number}); !erased) {
    const std::lock_guard lock(state_);
    index_.insert(found.slot.tag, found.number);  // it is there still: erasing can be repeated
    ++stats_.persons;
    return std::unexpected(std::move(erased).error());
  }
  return 1;
}

Result<std::uint64_t> PersonalKeys::erase_organization(std::string_view organization_name) {
  TRY(may_write());
  const std::lock_guard io(io_);
  TRY(flush_held());
  Found found;
  {
    const std::lock_guard lock(state_);
    found = TRY(find(KeyKind::organization, tag_of(KeyKind::organization, organization_name, {})));
    if (found.number == 0) return 0;
    index_.remove(found.slot.tag, found.number);
    forget_unwrapped();
    --stats_.organizations;
  }
  // With this slot everything below it is closed; the rest is tidying, which load() would finish.
  if (auto erased = file_->erase(std::array{found.number}); !erased) {
    const std::lock_guard lock(state_);
    index_.insert(found.slot.tag, found.number);
    ++stats_.organizations;
    return std::unexpected(std::move(erased).error());
  }
  std::vector<std::uint32_t> numbers;
  std::vector<SlotIndex::Tag> tags;
  TRY(file_->visit([&](std::uint32_t number, const std::optional<KeySlot>& slot) {
    if (!slot || slot->kind != KeyKind::person || slot->parent != found.number) return;
    numbers.push_back(number);
    tags.push_back(slot->tag);
  }));
  TRY(file_->erase(numbers));
  const std::lock_guard lock(state_);
  for (std::size_t i = 0; i < numbers.size(); ++i) index_.remove(tags[i], numbers[i]);
  stats_.persons -= numbers.size();
  return numbers.size();
}

Result<void> PersonalKeys::rotate_master() {
  TRY(may_write());
  const std::lock_guard io(io_);
  TRY(flush_held());
  MasterKey next = TRY(MasterKey::make());
  TRY(next.write_beside(options_.master_file));
  auto file = TRY(file_->rewrite(next.id, [&](std::uint32_t number, KeySlot& slot) -> Result<void> {
    if (slot.kind == KeyKind::person) return {};
    wrap(slot, number, TRY(unwrap(slot, number, master_.key)), next.key);
    return {};
  }));
  TRY(MasterKey::promote(options_.master_file));
  const std::lock_guard lock(state_);
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (pending_[i].kind == KeyKind::person) continue;
    const auto number = durable_next_ + static_cast<std::uint32_t>(i);
    wrap(pending_[i], number, TRY(unwrap(pending_[i], number, master_.key)), next.key);
  }
  file_ = std::move(file);
  master_ = std::move(next);
  return {};
}

Result<void> PersonalKeys::rotate_organization(std::string_view organization_name) {
  TRY(may_write());
  const std::lock_guard io(io_);
  TRY(flush_held());
  KeyHandle old;
  {
    const std::lock_guard lock(state_);
    const auto found =
        TRY(find(KeyKind::organization, tag_of(KeyKind::organization, organization_name, {})));
    if (found.number == 0) {
      return fail(Code::not_found, fmt::format("organization {} has no key in this log: nothing "
                                               "personal of it was recorded here",
                                               organization_name));
    }
    old = TRY(opened(found.number));
  }
  const Secret key = crypto::random_secret(32);
  const SealingKey next = TRY(SealingKey::create(key));
  const auto change = [&](std::uint32_t number, KeySlot& slot) -> Result<void> {
    if (number == old->slot) {
      wrap(slot, number, key, master_.key);
    } else if (slot.kind == KeyKind::person && slot.parent == old->slot) {
      wrap(slot, number, TRY(unwrap(slot, number, old->key)), next);
    }
    return {};
  };
  auto file = TRY(file_->rewrite(master_.id, change));
  const std::lock_guard lock(state_);
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    TRY(change(durable_next_ + static_cast<std::uint32_t>(i), pending_[i]));
  }
  file_ = std::move(file);
  forget_unwrapped();
  return {};
}

}  // namespace domicile::audit
