// Legal holds: what may not be erased or trimmed, by whose order, until when. One file (JSON, mode
// 0600) in the log's key folder. A person is named by the same MAC as in the file of keys, so the
// file names nobody. A value: read it, change it, write it back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace domicile::audit {

struct LegalHold {
  std::string id;
  std::string organization;   // empty: the whole log
  std::string person;         // its MAC; empty: all of the organization
  std::int64_t until_ms = 0;  // 0: until it is removed
  std::string ticket;
};

class LegalHolds {
 public:
  static Result<LegalHolds> read(const std::filesystem::path& file);  // absent: none
  static Result<LegalHolds> parse(std::string_view text, const std::string& name);
  std::string text() const;
  Result<void> write(const std::filesystem::path& file) const;

  const std::vector<LegalHold>& all() const { return holds_; }
  void add(LegalHold hold) { holds_.push_back(std::move(hold)); }
  bool remove(std::string_view id);

  // The hold that forbids to erase this, if any. `person` empty: all of the organization.
  const LegalHold* against_erasing(std::string_view organization, std::string_view person,
                                   WallTime now) const;
  const LegalHold* against_trimming(WallTime now) const;  // any that is in force

 private:
  std::vector<LegalHold> holds_;
};

}  // namespace domicile::audit
