// Personal fields, kept out of the log and yet provable: see personal_text.h for what stands where,
// and personal_keys.h for the keys. One vault stands beside one log.
//
// hide() takes them out of an event before it is rendered: the actor, the source address, the
// subject of a grant, an account as the resource, and the details of kPersonalDetails. An actor's fields are sealed under the
// key of that person in their own organization; fields of nobody in particular (a denied sign-in's
// address) under the key of the organization. What reaches the disk names no person.
//
// A cross-region event holds nobody at all, not even sealed. Instead its detail `actor_tag` tells
// the attempts of one actor together: a MAC of the actor under a key that is replaced every UTC day
// and destroyed two days later, after which nobody can say whose it was.
//
// Thread-safe. A caller that acknowledges an event calls flush() between hide() and that.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "audit/ocsf.h"
#include "audit/personal_keys.h"
#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"

namespace domicile::audit {

inline constexpr std::array<std::string_view, 5> kPersonalDetails{"subject", "client_certificate",
                                                                  "external_id", "email", "login"};

struct VaultOptions {
  std::filesystem::path key_directory;  // of the log (log_keys.h): the keys are `personal` in it
  std::filesystem::path master_file;    // made where there is none and nothing was sealed yet
  const Clock* clock = nullptr;         // outlives the vault
};

struct OpenedEvent {
  std::string line;       // values in the place of their commitments; its frame no longer fits
  unsigned withheld = 0;  // persons of this entry whose key is erased
};

class PersonalVault {
 public:
  static Result<std::unique_ptr<PersonalVault>> open(VaultOptions options);
  // Beside a running node: opens what is sealed, and can do nothing else.
  static Result<std::unique_ptr<PersonalVault>> open_read_only(VaultOptions options);

  struct Hidden {
    std::string sealed;      // empty: the event had nothing personal
    bool truncated = false;  // a value was longer than kPersonalValueBytesMax
  };
  Result<Hidden> hide(domain::Event& event);
  Result<std::string> actor_tag(std::string_view actor);
  Result<void> flush();
  // Once in a while: destroys the keys of past days.
  Result<void> housekeep();

  // `line` and `sealed` as the log holds them (`sealed` empty: the line is given back as it is).
  // Code::invalid: the sealed text is another entry's, or was changed.
  Result<OpenedEvent> open_event(std::string_view line, std::string_view sealed) const;

  PersonalKeys& keys() { return *keys_; }

 private:
  PersonalVault(std::unique_ptr<PersonalKeys> keys, const Clock& clock)
      : keys_(std::move(keys)), clock_(clock) {}
  std::uint32_t today() const;

  std::unique_ptr<PersonalKeys> keys_;
  const Clock& clock_;
};

// Without a vault, persons stand in the records as they are: tests, and logs that were begun so.
Result<std::vector<OcsfRecord>> to_ocsf(domain::Event event, PersonalVault* vault);

}  // namespace domicile::audit
