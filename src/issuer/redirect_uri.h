// Where an authorization answer may go (RFC 6749 section 3.1.2, RFC 8252, RFC 9700 section 2.1).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace domicile::issuer {

// What may be registered: https, http to the own machine (127.0.0.1, [::1], localhost), or an
// application's own scheme with a dot in it (com.example.app:/done). No fragment, no user, no
// wildcard. Code::invalid says what is wrong.
Result<void> check_redirect_uri(std::string_view uri);

// Registered byte by byte; for a native application's http://127.0.0.1 and http://[::1] at any
// port (RFC 8252 section 7.3).
bool is_registered(const std::vector<std::string>& registered, std::string_view uri);

// `uri` with these parameters added to its query.
std::string with_parameters(
    std::string_view uri, const std::vector<std::pair<std::string_view, std::string>>& parameters);

// "https://app.example.com" of "https://app.example.com/done?x=1", "com.example.app:" of an own
// scheme: as a Content-Security-Policy names it.
std::string source_of(std::string_view uri);

}  // namespace domicile::issuer
