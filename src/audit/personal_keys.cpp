#include "audit/personal_keys.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {

using crypto::SealingKey;
using Tag = SlotIndex::Tag;

constexpr std::size_t kKeyBytes = 32;

}  // namespace

PersonalKeys::PersonalKeys(PersonalKeyOptions options, KeyFile::Access access, MasterKey master,
                           std::shared_ptr<KeyFile> file)
    : options_(std::move(options)),
      access_(access),
      master_(std::move(master)),
      file_(std::move(file)),
      persons_(options_.cached_max),
      organizations_(options_.cached_max),
      by_slot_(options_.cached_max),
      durable_next_(file_->next()) {}

Result<void> PersonalKeys::load() {
  std::set<std::uint32_t> above;       // slots that may hold an organization's key
  std::vector<std::uint32_t> orphans;  // of an erasure that was cut short
  std::optional<std::uint32_t> index_slot;
  KeySlot index_key;
  TRY(file_->visit([&](std::uint32_t number, const std::optional<KeySlot>& slot) {
    if (!slot) {
      ++stats_.damaged;
      above.insert(number);
      return;
    }
    switch (slot->kind) {
      case KeyKind::erased: return;
      case KeyKind::index:
        index_slot = number;
        index_key = *slot;
        return;
      case KeyKind::day: days_[slot->parent] = number; return;
      case KeyKind::organization:
        above.insert(number);
        ++stats_.organizations;
        break;
      case KeyKind::person:
        if (!above.contains(slot->parent)) return orphans.push_back(number);
        ++stats_.persons;
        break;
    }
    index_.insert(slot->tag, number);
  }));
  if (stats_.damaged > 0) {
    log_error("audit", fmt::format("{}: {} keys are damaged: what they sealed stays closed",
                                   options_.file.string(), stats_.damaged));
  }
  Secret naming;
  if (index_slot) {
    naming = TRY(unwrap(index_key, *index_slot, master_.key));
  } else if (access_ == KeyFile::Access::read) {
    return {};  // nothing was sealed yet
  } else {
    naming = crypto::random_secret(kKeyBytes);
    add({.kind = KeyKind::index}, naming, master_.key);
  }
  namer_.emplace(naming);
  if (access_ == KeyFile::Access::read) return {};
  if (!orphans.empty()) TRY(file_->erase(orphans));
  return flush_held();
}

std::string PersonalKeys::wrap_context(const KeySlot& slot, std::uint32_t number) {
  return fmt::format("domicile personal key {} {} {}", static_cast<unsigned>(slot.kind), number,
                     std::string_view(slot.tag.data(), slot.tag.size()));
}

void PersonalKeys::wrap(KeySlot& slot, std::uint32_t number, const Secret& key,
                        const SealingKey& under) {
  const std::string wrapped = under.seal(key, wrap_context(slot, number));
  std::ranges::copy(wrapped, slot.wrapped.begin());
}

Result<Secret> PersonalKeys::unwrap(const KeySlot& slot, std::uint32_t number,
                                    const SealingKey& under) {
  return under.open(std::string_view(slot.wrapped.data(), slot.wrapped.size()),
                    wrap_context(slot, number));
}

Result<void> PersonalKeys::may_write() const {
  if (access_ == KeyFile::Access::write) return {};
  return fail(Code::denied, "the keys of personal fields were opened for reading only");
}

Tag PersonalKeys::tag_of(KeyKind kind, std::string_view first, std::string_view second) {
  std::string message(1, static_cast<char>(kind));
  message += fmt::format("{}:", first.size());
  message.append(first).append(second);
  const auto digest = namer_->mac(message);
  Tag tag{};
  std::copy_n(digest.begin(), tag.size(), tag.begin());
  return tag;
}

Result<std::optional<KeySlot>> PersonalKeys::slot_at(std::uint32_t number) {
  if (number < durable_next_ || access_ == KeyFile::Access::read) return file_->read(number);
  const std::size_t at = number - durable_next_;
  return at < pending_.size() ? std::optional(pending_[at]) : std::nullopt;
}

Result<PersonalKeys::Found> PersonalKeys::find(KeyKind kind, const Tag& tag) {
  Found found;
  Result<void> outcome;
  found.number = index_.find(tag, [&](std::uint32_t number) {
    const auto slot = slot_at(number);
    if (!slot) {
      outcome = std::unexpected(slot.error());
      return true;
    }
    if (!*slot || (*slot)->kind != kind || (*slot)->tag != tag) return false;
    found.slot = **slot;
    return true;
  });
  TRY(std::move(outcome));
  return found;
}

std::uint32_t PersonalKeys::add(KeySlot slot, const Secret& key, const SealingKey& under) {
  const auto number = durable_next_ + static_cast<std::uint32_t>(pending_.size());
  wrap(slot, number, key, under);
  pending_.push_back(slot);
  return number;
}

Result<KeyHandle> PersonalKeys::make(KeyKind kind, const Tag& tag, std::uint32_t parent,
                                     const SealingKey& under) {
  TRY(may_write());
  const Secret key = crypto::random_secret(kKeyBytes);
  const auto number = add({.kind = kind, .parent = parent, .tag = tag}, key, under);
  index_.insert(tag, number);
  ++(kind == KeyKind::person ? stats_.persons : stats_.organizations);
  return std::make_shared<const NamedKey>(NamedKey{number, TRY(SealingKey::create(key))});
}

Result<KeyHandle> PersonalKeys::organization(std::string_view organization) {
  const std::string name(organization);
  if (const auto* known = organizations_.find(name)) return *known;
  const Tag tag = tag_of(KeyKind::organization, name, {});
  const Found found = TRY(find(KeyKind::organization, tag));
  KeyHandle handle;
  if (found.number != 0) handle = TRY(opened(found.number));
  if (handle == nullptr) handle = TRY(make(KeyKind::organization, tag, 0, master_.key));
  organizations_.put(name, handle);
  return handle;
}

Result<KeyHandle> PersonalKeys::person(std::string_view organization_name,
                                       std::string_view person) {
  std::string name(organization_name);
  name += '\0';
  name += person;
  const std::lock_guard lock(state_);
  if (const auto* known = persons_.find(name)) return *known;
  if (!namer_) TRY(may_write());
  const KeyHandle above = TRY(organization(organization_name));
  const Tag tag = tag_of(KeyKind::person, organization_name, person);
  const Found found = TRY(find(KeyKind::person, tag));
  KeyHandle handle;
  if (found.number != 0 && found.slot.parent == above->slot) handle = TRY(opened(found.number));
  if (handle == nullptr) {
    if (found.number != 0) index_.remove(tag, found.number);  // of an organization that is erased
    handle = TRY(make(KeyKind::person, tag, above->slot, above->key));
  }
  persons_.put(name, handle);
  return handle;
}

Result<KeyHandle> PersonalKeys::opened(std::uint32_t number) {
  if (const auto* known = by_slot_.find(number)) return *known;
  const auto slot = TRY(slot_at(number));
  if (!slot || slot->kind == KeyKind::erased) return KeyHandle();
  Secret key;
  if (slot->kind == KeyKind::organization) {
    key = TRY(unwrap(*slot, number, master_.key));
  } else if (slot->kind == KeyKind::person && slot->parent != number) {
    const auto parent = TRY(slot_at(slot->parent));
    if (!parent || parent->kind != KeyKind::organization) return KeyHandle();
    const KeyHandle above = TRY(opened(slot->parent));
    if (above == nullptr) return KeyHandle();
    key = TRY(unwrap(*slot, number, above->key));
  } else {
    return KeyHandle();
  }
  auto handle = std::make_shared<const NamedKey>(NamedKey{number, TRY(SealingKey::create(key))});
  by_slot_.put(number, handle);
  return handle;
}

Result<KeyHandle> PersonalKeys::in_slot(std::uint32_t number) {
  const std::lock_guard lock(state_);
  if (access_ == KeyFile::Access::read && !file_->current()) {  // keys were rotated meanwhile
    auto file = TRY(KeyFile::open(options_.file, access_, master_.id));
    file_ = std::move(file);
    by_slot_.clear();
  }
  return opened(number);
}

Result<Secret> PersonalKeys::of_day(std::uint32_t day) {
  const std::lock_guard lock(state_);
  if (const auto known = days_.find(day); known != days_.end()) {
    if (const auto slot = TRY(slot_at(known->second)); slot && slot->kind == KeyKind::day) {
      return unwrap(*slot, known->second, master_.key);
    }
  }
  TRY(may_write());
  Secret key = crypto::random_secret(kKeyBytes);
  days_[day] = add({.kind = KeyKind::day, .parent = day}, key, master_.key);
  return key;
}

Result<void> PersonalKeys::forget_days_before(std::uint32_t day) {
  {
    const std::lock_guard lock(state_);
    if (days_.empty() || days_.begin()->first >= day) return {};
  }
  const std::lock_guard io(io_);
  TRY(flush_held());
  std::vector<std::uint32_t> gone;
  {
    const std::lock_guard lock(state_);
    for (auto at = days_.begin(); at != days_.end() && at->first < day; at = days_.erase(at)) {
      gone.push_back(at->second);
    }
  }
  if (gone.empty()) return {};
  return file_->erase(gone);
}

Result<void> PersonalKeys::flush() {
  {
    const std::lock_guard lock(state_);
    if (pending_.empty()) return {};
  }
  const std::lock_guard io(io_);
  return flush_held();
}

Result<void> PersonalKeys::flush_held() {
  std::vector<KeySlot> slots;
  std::shared_ptr<KeyFile> file;
  {
    const std::lock_guard lock(state_);
    slots = pending_;
    file = file_;
  }
  if (slots.empty()) return {};
  TRY(file->append(slots));
  const std::lock_guard lock(state_);
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(slots.size()));
  durable_next_ = file->next();
  return {};
}

void PersonalKeys::forget_unwrapped() {
  persons_.clear();
  organizations_.clear();
  by_slot_.clear();
}

std::string PersonalKeys::name_of(std::string_view organization_name, std::string_view person) {
  const std::lock_guard lock(state_);
  const Tag tag = tag_of(KeyKind::person, organization_name, person);
  return to_hex(std::string_view(tag.data(), tag.size()));
}

PersonalKeyStats PersonalKeys::stats() const {
  const std::lock_guard lock(state_);
  PersonalKeyStats copy = stats_;
  copy.memory_bytes = index_.memory_bytes();
  return copy;
}

Result<std::unique_ptr<PersonalKeys>> PersonalKeys::open(PersonalKeyOptions options) {
  MasterKey master = TRY(MasterKey::load_or_make(options.master_file, options.file));
  auto file = TRY(KeyFile::open(options.file, KeyFile::Access::write, master.id));
  std::unique_ptr<PersonalKeys> keys(new PersonalKeys(std::move(options), KeyFile::Access::write,
                                                      std::move(master), std::move(file)));
  TRY(keys->load());
  return keys;
}

Result<std::unique_ptr<PersonalKeys>> PersonalKeys::open_read_only(PersonalKeyOptions options) {
  MasterKey master = TRY(MasterKey::load(options.master_file, options.file));
  auto file = TRY(KeyFile::open(options.file, KeyFile::Access::read, master.id));
  return std::unique_ptr<PersonalKeys>(new PersonalKeys(std::move(options), KeyFile::Access::read,
                                                        std::move(master), std::move(file)));
}

}  // namespace domicile::audit
