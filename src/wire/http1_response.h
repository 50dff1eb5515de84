// A response head from an upstream, held to the same strictness as a request: an upstream that can
// be read in two ways is answered for with 502. Which body follows depends on the request's method
// (RFC 9112 section 6.3).
#pragma once

#include <string_view>

#include "wire/http1_request.h"

namespace domicile::wire {

struct ResponseHead {
  int status = 0;
  std::string_view reason_phrase;
  int minor_version = 1;
  bool persistent = false;
  std::size_t size = 0;
  FieldSection section;  // section.body is settled for the request's method

  bool interim() const { return status < 200; }
  Fault parse(std::string_view head, Method request_method, const HeadLimits& limits);
};

// The fixed phrase of RFC 9110, "" for a status it does not know.
std::string_view phrase_of(int status);

}  // namespace domicile::wire
