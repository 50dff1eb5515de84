#include "base/result.h"

namespace domicile {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::invalid: return "invalid";
    case Code::unauthenticated: return "unauthenticated";
    case Code::denied: return "denied";
    case Code::not_found: return "not_found";
    case Code::conflict: return "conflict";
    case Code::wrong_region: return "wrong_region";
    case Code::unavailable: return "unavailable";
    case Code::timeout: return "timeout";
    case Code::internal: return "internal";
  }
  return "internal";
}

Error Error::within(std::string_view place) && {
  message.insert(0, std::string(place) + ": ");
  return std::move(*this);
}

Error Error::within(std::string_view place) const& { return Error(*this).within(place); }

}  // namespace domicile
