#include "audit/personal_vault.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include <fmt/format.h>

#include "audit/json_text.h"
#include "audit/personal_text.h"
#include "base/encoding.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSealContext = "domicile personal fields 1";
constexpr std::string_view kAccount = "user:";
constexpr std::size_t kTagBytes = 12;
constexpr std::uint32_t kDaysKept = 2;  // today and yesterday

PersonalKeyOptions key_options(const VaultOptions& options) {
  return {.file = options.key_directory / "personal", .master_file = options.master_file};
}

// The fields of one person, or of nobody in particular.
struct Group {
  std::string person;
  std::vector<PersonalValue> values;
};

// Moves a value into the group and leaves its commitment.
void take(Group& group, std::string_view name, std::string& value, bool& truncated) {
  PersonalValue taken{.name = std::string(name)};
  const std::string salt = crypto::random_bytes(kSaltBytes);
  std::ranges::copy(salt, taken.salt.begin());
  const std::string_view kept = utf8_prefix(value, kPersonalValueBytesMax);
  truncated = truncated || kept.size() < value.size();
  taken.value = kept;
  value = commitment_of(taken);
  group.values.push_back(std::move(taken));
}

bool personal(std::string_view detail) {
  return std::ranges::find(kPersonalDetails, detail) != kPersonalDetails.end();
}

// A second detail of the same name would not be written (ocsf_record.cpp), and must not stay.
void drop_repeated(std::vector<std::pair<std::string, std::string>>& details) {
  std::vector<std::string> seen;
  std::erase_if(details, [&](const auto& detail) {
    if (!personal(detail.first)) return false;
    if (std::ranges::find(seen, detail.first) != seen.end()) return true;
    seen.push_back(detail.first);
    return false;
  });
}

struct Groups {
  Group actor;
  Group subject;
  bool truncated = false;
};

Groups take_fields(domain::Event& event) {
  Groups groups;
  groups.actor.person = event.actor.text();
  if (!event.actor.empty()) {
    std::string actor = event.actor.text();
    take(groups.actor, "actor", actor, groups.truncated);
    event.actor = domain::UserId(actor);
  }
  if (!event.source_ip.empty()) {
    take(groups.actor, kAddressField, event.source_ip, groups.truncated);
  }
  drop_repeated(event.details);
  for (auto& [name, value] : event.details) {
    if (value.empty() || !personal(name)) continue;
    const bool subject = name == "subject";
    if (subject) groups.subject.person = value;
    take(subject ? groups.subject : groups.actor, name, value, groups.truncated);
  }
  // An account as the thing that was acted on: "user:u_4711".
  if (event.resource.starts_with(kAccount)) {
    const std::string account = event.resource.substr(kAccount.size());
    if (groups.subject.person.empty()) groups.subject.person = account;
    take(groups.subject.person == account ? groups.subject : groups.actor, "resource",
         event.resource, groups.truncated);
  }
  if (groups.subject.person == groups.actor.person) {
    std::ranges::move(groups.subject.values, std::back_inserter(groups.actor.values));
    groups.subject.values.clear();
  }
  return groups;
}

}  // namespace

Result<std::unique_ptr<PersonalVault>> PersonalVault::open(VaultOptions options) {
  const fs::path& folder = options.key_directory;
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) {
    return fail(Code::unavailable,
                fmt::format("cannot make the folder {}: {}", folder.string(), error.message()));
  }
  auto keys = TRY(PersonalKeys::open(key_options(options)));
  return std::unique_ptr<PersonalVault>(new PersonalVault(std::move(keys), *options.clock));
}

Result<std::unique_ptr<PersonalVault>> PersonalVault::open_read_only(VaultOptions options) {
  auto keys = TRY(PersonalKeys::open_read_only(key_options(options)));
  return std::unique_ptr<PersonalVault>(new PersonalVault(std::move(keys), *options.clock));
}

std::uint32_t PersonalVault::today() const {
  const auto day = std::chrono::floor<std::chrono::days>(clock_.now().time_since_epoch()).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(0, day));
}

Result<PersonalVault::Hidden> PersonalVault::hide(domain::Event& event) {
  const std::string own =
      (event.acting_organization.empty() ? event.organization : event.acting_organization).text();
  Groups groups = take_fields(event);
  std::vector<SealedPart> parts;
  for (const Group* group : {&groups.actor, &groups.subject}) {
    if (group->values.empty()) continue;
    const KeyHandle key = TRY(keys_->person(own, group->person));
    const Secret plain(encode_values(group->values));
    parts.push_back({key->slot, key->key.seal(plain, kSealContext)});
  }
  return Hidden{.sealed = encode_sealed(parts), .truncated = groups.truncated};
}

Result<std::string> PersonalVault::actor_tag(std::string_view actor) {
  crypto::HmacSha256 hmac(TRY(keys_->of_day(today())));
  const auto mac = hmac.mac(actor);
  return to_base64url(crypto::view(mac).substr(0, kTagBytes));
}

Result<void> PersonalVault::flush() { return keys_->flush(); }

Result<void> PersonalVault::housekeep() {
  const std::uint32_t now = today();
  return keys_->forget_days_before(now < kDaysKept ? 0 : now - kDaysKept + 1);
}

Result<OpenedEvent> PersonalVault::open_event(std::string_view line,
                                              std::string_view sealed) const {
  OpenedEvent out{.line = std::string(line)};
  const std::string_view hash = sealed_hash_in(line);
  if (sealed.empty()) {
    out.withheld = hash.empty() ? 0 : 1;
    return out;
  }
  const auto foreign = [] {
    return fail(Code::invalid,
                "the sealed text beside this entry is not the entry's own: it was changed, or "
                "belongs to another entry",
                "sealed_text_changed");
  };
  const auto parts = decode_sealed(sealed);
  if (!parts || sealed_hash(sealed) != hash) return foreign();
  for (const SealedPart& part : *parts) {
    const KeyHandle key = TRY(keys_->in_slot(part.slot));
    if (key == nullptr) {
      ++out.withheld;
      continue;
    }
    const Secret plain = TRY(key->key.open(part.sealed, kSealContext));
    const auto values = decode_values(plain.reveal());
    if (!values) return foreign();
    // What a very long record had no room for is in the sealed text only.
    for (const PersonalValue& value : *values) reveal(out.line, value);
  }
  return out;
}

Result<std::vector<OcsfRecord>> to_ocsf(domain::Event event, PersonalVault* vault) {
  if (vault == nullptr) return to_ocsf(event);
  if (holds_nobody(event)) {
    std::string tag;
    if (!event.attempted_by.empty()) tag = TRY(vault->actor_tag(event.attempted_by));
    return to_ocsf(event, {.actor_tag = tag});
  }
  const auto hidden = TRY(vault->hide(event));
  if (hidden.sealed.empty()) return to_ocsf(event, {.truncated = hidden.truncated});
  const std::string hash = sealed_hash(hidden.sealed);
  auto records = to_ocsf(event, {.sealed_hash = hash, .truncated = hidden.truncated});
  records.front().sealed = hidden.sealed;
  return records;
}

}  // namespace domicile::audit
