#include "audit/log_holds.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace domicile::audit {
namespace {

using Json = nlohmann::json;

bool in_force(const LegalHold& hold, WallTime now) {
  return hold.until_ms == 0 || now.time_since_epoch().count() < hold.until_ms;
}

}  // namespace

Result<LegalHolds> LegalHolds::read(const std::filesystem::path& file) {
  const auto text = read_file(file);
  if (!text && !std::filesystem::exists(file)) return LegalHolds();
  if (!text) return std::unexpected(text.error());
  return parse(*text, file.string());
}

// A file of holds that cannot be read must not count as none.
Result<LegalHolds> LegalHolds::parse(std::string_view text, const std::string& name) {
  const auto unreadable = [&] {
    return fail(
        Code::internal,
        fmt::format("{} is not a list of legal holds: put back the copy that is, or nothing "
                    "can be erased",
                    name));
  };
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) return unreadable();
  LegalHolds holds;
  for (const Json& entry : json) {
    if (!entry.is_object()) return unreadable();
    LegalHold hold;
    for (const auto& [key, out] : {std::pair("id", &hold.id),
                                   {"organization", &hold.organization},
                                   {"person", &hold.person},
                                   {"ticket", &hold.ticket}}) {
      const auto at = entry.find(key);
      if (at == entry.end() || !at->is_string()) return unreadable();
      *out = at->get<std::string>();
    }
    const auto until = entry.find("until_ms");
    if (until == entry.end() || !until->is_number_integer()) return unreadable();
    hold.until_ms = until->get<std::int64_t>();
    holds.add(std::move(hold));
  }
  return holds;
}

std::string LegalHolds::text() const {
  Json json = Json::array();
  for (const LegalHold& hold : holds_) {
    json.push_back({{"id", hold.id},
                    {"organization", hold.organization},
                    {"person", hold.person},
                    {"until_ms", hold.until_ms},
                    {"ticket", hold.ticket}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<void> LegalHolds::write(const std::filesystem::path& file) const {
  return write_file_atomic(file, text(), 0600);
}

bool LegalHolds::remove(std::string_view id) {
  return std::erase_if(holds_, [&](const LegalHold& hold) { return hold.id == id; }) > 0;
}

const LegalHold* LegalHolds::against_erasing(std::string_view organization, std::string_view person,
                                             WallTime now) const {
  const auto at = std::ranges::find_if(holds_, [&](const LegalHold& hold) {
    if (!in_force(hold, now)) return false;
    if (hold.organization.empty()) return true;
    if (hold.organization != organization) return false;
    return hold.person.empty() || person.empty() || hold.person == person;
  });
  return at == holds_.end() ? nullptr : &*at;
}

const LegalHold* LegalHolds::against_trimming(WallTime now) const {
  const auto at =
      std::ranges::find_if(holds_, [&](const LegalHold& hold) { return in_force(hold, now); });
  return at == holds_.end() ? nullptr : &*at;
}

}  // namespace domicile::audit
