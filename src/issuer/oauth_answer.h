// The answers of the token endpoint (RFC 6749 section 5). A refusal carries the standard's error
// code and a fixed description: nothing in it depends on whether a person, a client or an
// organization exists. Only the region's event says more.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"

namespace domicile::issuer {

using Form = std::vector<std::pair<std::string, std::string>>;

// nullptr when absent.
const std::string* form_value(const Form& form, std::string_view name);

http::Response oauth_error(int status, std::string_view error, std::string_view description);
// 401 with WWW-Authenticate, as RFC 6749 section 5.2 asks.
http::Response invalid_client();
// invalid_grant: whatever was wrong with who or what was presented.
http::Response invalid_grant();
// With Retry-After.
http::Response retry_later(int status, std::string_view error, std::string_view description,
                           std::chrono::seconds wait);
// 421: sign in at the organization's home, whose issuer is named.
http::Response wrong_region(std::string_view home_issuer);

}  // namespace domicile::issuer
