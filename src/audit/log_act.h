// An act on the log itself, as a value and as text: what an administrator's command asks of the node
// that writes the log (act_spool.h carries it there, log_acts.h does it).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace domicile::audit {

enum class ActKind {
  erase,                // a person of an organization, or with `person` empty all of it
  hold_add,             // nothing of it is erased, and nothing is trimmed, until then
  hold_remove,          //
  rotate_master,        // keys: see personal_keys.h and log_keys.h
  rotate_organization,  //
  rotate_log,           // a new key signs beside the present one
  retire_log,           // the former ones sign no more
  trim,                 // entries older than the published policy says
  exported,             // entries were written to a file
  opened,               // persons were read
};

std::string_view to_string(ActKind kind);

struct LogAct {
  ActKind kind = ActKind::erase;
  std::string organization;
  std::string person;
  std::string ticket;
  std::string hold;                          // the id of one
  std::int64_t until_ms = 0;                 // of a hold; 0: until it is removed
  std::map<std::string, std::string> facts;  // of exported and opened: what, how many, first, last
};

constexpr std::size_t kActBytesMax = 16u << 10;

std::string encode_act(const LogAct& act);
// Code::invalid: not an act, or not whole. What this accepts can be done or refused as it stands.
Result<LogAct> parse_act(std::string_view text);

}  // namespace domicile::audit
