// The parameters of GET /oauth2/authorize (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core
// section 3.1.2.1), read strictly: an unknown response type, a missing or plain challenge and a
// malformed scope are refused. Parameters that nobody knows are ignored, as the standard asks.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "issuer/oauth_answer.h"
#include "issuer/scope.h"
#include "store/directory.h"

namespace domicile::issuer {

struct AuthorizeRequest {
  std::string client_id;
  std::string redirect_uri;  // registered for the client
  std::string state;
  std::string challenge;
  std::string nonce;
  Scope scope;
  enum class Prompt { when_needed, none, login } prompt = Prompt::when_needed;
  std::optional<std::int64_t> max_age_s;
};

// Sent back to the client by redirection (RFC 6749 section 4.1.2.1).
struct AuthorizeError {
  std::string_view error;
  std::string_view description;
};

// Client and redirect URI, before anything is ever sent to that address; the message for the
// person when they do not belong together.
std::expected<AuthorizeRequest, std::string_view> identify_client(
    const Form& parameters, const std::optional<store::ClientAccount>& client);

// The rest, into `request`. An error goes to request.redirect_uri with request.state.
std::expected<void, AuthorizeError> read_parameters(const Form& parameters,
                                                    const store::ClientAccount& client,
                                                    AuthorizeRequest& request);

}  // namespace domicile::issuer
