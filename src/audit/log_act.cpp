#include "audit/log_act.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "domain/names.h"

namespace domicile::audit {
namespace {

using Json = nlohmann::json;

constexpr std::array kKinds{std::pair(ActKind::erase, "erase"),
                            std::pair(ActKind::hold_add, "hold_add"),
                            std::pair(ActKind::hold_remove, "hold_remove"),
                            std::pair(ActKind::rotate_master, "rotate_master"),
                            std::pair(ActKind::rotate_organization, "rotate_organization"),
                            std::pair(ActKind::rotate_log, "rotate_log"),
                            std::pair(ActKind::retire_log, "retire_log"),
                            std::pair(ActKind::trim, "trim"),
                            std::pair(ActKind::exported, "exported"),
                            std::pair(ActKind::opened, "opened")};
constexpr std::size_t kTextBytesMax = 1024;
constexpr std::size_t kFactsMax = 20;

std::unexpected<Error> not_an_act(std::string_view what) {
  return fail(Code::invalid, fmt::format("this is no act on the log: {}", what));
}

Result<void> read_text(const Json& json, const char* name, std::string& out) {
  const auto at = json.find(name);
  if (at == json.end()) return {};
  if (!at->is_string()) return not_an_act(fmt::format("{} must be text", name));
  out = at->get<std::string>();
  if (out.size() > kTextBytesMax) return not_an_act(fmt::format("{} is too long", name));
  return {};
}

bool needs_organization(ActKind kind) {
  return kind == ActKind::erase || kind == ActKind::rotate_organization;
}

bool needs_ticket(ActKind kind) { return kind != ActKind::exported && kind != ActKind::opened; }

}  // namespace

std::string_view to_string(ActKind kind) {
  return std::ranges::find(kKinds, kind, [](const auto& known) { return known.first; })->second;
}

std::string encode_act(const LogAct& act) {
  Json json = {{"act", to_string(act.kind)}};
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) json[name] = value;
  };
  text("organization", act.organization);
  text("person", act.person);
  text("ticket", act.ticket);
  text("hold", act.hold);
  if (act.until_ms != 0) json["until_ms"] = act.until_ms;
  if (!act.facts.empty()) json["facts"] = act.facts;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<LogAct> parse_act(std::string_view text) {
  if (text.size() > kActBytesMax) return not_an_act("it is too long");
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return not_an_act("it is not a JSON object");
  std::string named;
  TRY(read_text(json, "act", named));
  const auto known = std::ranges::find(kKinds, named, [](const auto& kind) { return kind.second; });
  if (known == kKinds.end()) return not_an_act("its name is not known here");
  LogAct act{.kind = known->first};
  TRY(read_text(json, "organization", act.organization));
  TRY(read_text(json, "person", act.person));
  TRY(read_text(json, "ticket", act.ticket));
  TRY(read_text(json, "hold", act.hold));
  if (const auto at = json.find("until_ms"); at != json.end()) {
    if (!at->is_number_integer()) return not_an_act("until_ms must be a number");
    act.until_ms = at->get<std::int64_t>();
  }
  if (const auto at = json.find("facts"); at != json.end()) {
    if (!at->is_object() || at->size() > kFactsMax) return not_an_act("its facts are not facts");
    for (const auto& [name, value] : at->items())
      TRY(read_text(*at, name.c_str(), act.facts[name]));
  }
  if (!act.organization.empty()) TRY(domain::parse_org_key(act.organization));
  if (act.organization.empty() && (needs_organization(act.kind) || !act.person.empty())) {
    return not_an_act("it names no organization");
  }
  if (act.kind == ActKind::hold_remove && act.hold.empty()) return not_an_act("it names no hold");
  if (act.ticket.empty() && needs_ticket(act.kind)) {
    return not_an_act("it has no ticket: who asked for it, and where is that written?");
  }
  return act;
}

}  // namespace domicile::audit
